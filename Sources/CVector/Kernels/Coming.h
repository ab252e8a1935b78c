// Memory that the pointwise part of a forward step reads or writes, asked for while the step's product runs.
//
// Gates and states of a large batch come from and go to memory. A processor asks for few lines at a time, so they are asked
// for a few per tile: then the product hides the way.

enum { mostRanges = 80, lineFloats = 16 };

typedef struct {
    const float *at[mostRanges];
    long lines[mostRanges];
    bool writes[mostRanges];
    int count, next;
    long left;
} Coming;

/// Adds `floats` elements from `base` on; NULL: nothing.
SMALL void expect(Coming *coming, const float *base, long floats, bool writes) {
    if (!base || floats <= 0 || coming->count == mostRanges) return;
    int i = coming->count++;
    coming->at[i] = base;
    coming->lines[i] = (floats + lineFloats - 1) / lineFloats;
    coming->writes[i] = writes;
    coming->left += coming->lines[i];
}

/// Asks for the next share of what is left when `calls` calls remain, this one included.
static void fetch(Coming *coming, long calls) {
    if (coming->left == 0) return;
    long lines = (coming->left + calls - 1) / calls;
    coming->left -= lines;
    while (lines > 0) {
        int i = coming->next;
        long n = cvMin(lines, coming->lines[i]);
        const float *at = coming->at[i];
        if (coming->writes[i]) for (long j = 0; j < n; j++) __builtin_prefetch(at + j * lineFloats, 1);
        else for (long j = 0; j < n; j++) __builtin_prefetch(at + j * lineFloats);
        coming->at[i] += n * lineFloats;
        coming->lines[i] -= n;
        if (coming->lines[i] == 0) coming->next++;
        lines -= n;
    }
}
