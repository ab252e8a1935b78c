#include "CICU.h"

#include <stddef.h>

// Swift's copy of ICU renames its C functions with the prefix swift_ and ships no headers for them,
// so the five that are needed are declared here as ICU's ubrk.h declares them without the prefix.
// The callers run a self-test before they rely on them.
typedef struct UBreakIterator UBreakIterator;
typedef int32_t UErrorCode;
enum { UBRK_WORD = 1, UBRK_DONE = -1 };

extern UBreakIterator *swift_ubrk_open(int32_t type, const char *locale, const uint16_t *text, int32_t length,
                                       UErrorCode *status);
extern void swift_ubrk_close(UBreakIterator *iterator);
extern void swift_ubrk_setText(UBreakIterator *iterator, const uint16_t *text, int32_t length, UErrorCode *status);
extern int32_t swift_ubrk_first(UBreakIterator *iterator);
extern int32_t swift_ubrk_next(UBreakIterator *iterator);

CarouselWordBreaker *carousel_word_breaker_open(const char *locale) {
    UErrorCode status = 0;
    UBreakIterator *iterator = swift_ubrk_open(UBRK_WORD, locale, NULL, 0, &status);
    if (status > 0) {  // negative values are warnings
        if (iterator) swift_ubrk_close(iterator);
        return NULL;
    }
    return (CarouselWordBreaker *)iterator;
}

void carousel_word_breaker_close(CarouselWordBreaker *breaker) {
    if (breaker) swift_ubrk_close((UBreakIterator *)breaker);
}

int32_t carousel_word_breaker_segments(CarouselWordBreaker *breaker, const uint16_t *text, int32_t length,
                                       int32_t *ends) {
    UBreakIterator *iterator = (UBreakIterator *)breaker;
    UErrorCode status = 0;
    int32_t count = 0;
    if (!iterator) return -1;
    swift_ubrk_setText(iterator, text, length, &status);
    if (status > 0) return -1;
    if (swift_ubrk_first(iterator) == UBRK_DONE) return 0;
    for (int32_t end = swift_ubrk_next(iterator); end != UBRK_DONE && count < length; end = swift_ubrk_next(iterator)) {
        ends[count++] = end;
    }
    return count;
}
