// Reading and summing rows of a table. Item (columns, row) unless a kernel says otherwise.

__kernel void embedding_gather(INPUT(float, table), INPUT(int, rows), OUTPUT(float, y), const int N, const int D) {
    BIND(table);
    BIND(rows);
    BIND(y);
    const int n = get_global_id(1);
    if (n >= N) return;
    table += (size_t)rows[n] * D;
    y += (size_t)n * D;
    EACH_COLUMN(d, D) y[d] = table[d];
}

#if FAMILY != CPU_FAMILY
// Sums per distinct row in two passes, since a frequent token has thousands of references: the sorted references are cut
// into blocks of equal length, so that every item has as much to do. The cuts, and with them the order of every sum,
// follow from N and the counts alone.

// Block q sums the references order[q * block] ..< order[(q + 1) * block]. Segments that lie in it are done; of one
// that began before it the sum goes to partial[2 q], of one that goes on behind it to partial[2 q + 1]. Item (d, q).
__kernel void embedding_sum_blocks(INPUT(summand, values), INPUT(int, order), INPUT(int, positions), INPUT(int, segments),
                                   OUTPUT(float, sums), OUTPUT(float, partial), const int N, const int D, const int block) {
    BIND(values);
    BIND(order);
    BIND(positions);
    BIND(segments);
    BIND(sums);
    BIND(partial);
    const int d = get_global_id(0), q = get_global_id(1), first = q * block;
    if (d >= D || first >= N) return;
    const int last = first + min(block, N - first);
    int s = first;
    while (s < last) {
        const int u = positions[order[s]], end = segments[u + 1], stop = min(last, end);
        float sum = 0.0f;
        for (; s < stop; s++) sum += SUMMAND(values[(size_t)order[s] * D + d]);
        if (segments[u] < first) partial[(size_t)(2 * q) * D + d] = sum;
        else if (end > last) partial[(size_t)(2 * q + 1) * D + d] = sum;
        else sums[(size_t)u * D + d] = sum;
    }
}

// sums[u] of the segments that lie in several blocks: their parts in the order of the blocks. Item (d, u).
__kernel void embedding_sum_spans(INPUT(float, partial), INPUT(int, segments), OUTPUT(float, sums), const int U,
                                  const int D, const int block) {
    BIND(partial);
    BIND(segments);
    BIND(sums);
    const int d = get_global_id(0), u = get_global_id(1);
    if (d >= D || u >= U) return;
    const int q0 = segments[u] / block, q1 = (segments[u + 1] - 1) / block;
    if (q0 >= q1) return;
    float sum = partial[(size_t)(2 * q0 + 1) * D + d];
    for (int q = q0 + 1; q <= q1; q++) sum += partial[(size_t)(2 * q) * D + d];
    sums[(size_t)u * D + d] = sum;
}
#endif

#if FAMILY != GPU_FAMILY
// sums[u] = the values order[segments[u]] ..< order[segments[u + 1]], one after the other, for the columns 64 p ..< 64 (p + 1). Item (p, u), groups of one item.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void embedding_segment_sum_panels(INPUT(float, values), INPUT(int, order), INPUT(int, segments), OUTPUT(float, sums),
                                  const int U, const int D) {
    BIND(values);
    BIND(order);
    BIND(segments);
    BIND(sums);
    const int d0 = (int)get_global_id(0) * 64, u = get_global_id(1), columns = min(64, D - d0);
    const int first = segments[u], last = segments[u + 1];
    __global float *target = sums + (size_t)u * D + d0;
    values += d0;
    if (columns == 64) {
        float16 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int s = first; s < last; s++) {
            const __global float *row = values + (size_t)order[s] * D, *coming = values + (size_t)order[min(s + 8, last - 1)] * D;
            for (int j = 0; j < 64; j += 16) FETCH(coming + j);
            s0 += vload16(0, row);
            s1 += vload16(1, row);
            s2 += vload16(2, row);
            s3 += vload16(3, row);
        }
        vstore16(s0, 0, target);
        vstore16(s1, 1, target);
        vstore16(s2, 2, target);
        vstore16(s3, 3, target);
    } else {
        for (int j = 0; j < columns; j++) {
            float sum = 0.0f;
            for (int s = first; s < last; s++) sum += values[(size_t)order[s] * D + j];
            target[j] = sum;
        }
    }
}
#endif

// table[rows[u]] += values[u]; rows are distinct, so no two items meet.
__kernel void embedding_scatter_add(INPUT(float, values), INPUT(int, rows), OUTPUT(float, table), const int U,
                                    const int D) {
    BIND(values);
    BIND(rows);
    BIND(table);
    const int u = get_global_id(1);
    if (u >= U) return;
    table += (size_t)rows[u] * D;
    values += (size_t)u * D;
    EACH_COLUMN(d, D) table[d] += values[d];
}
