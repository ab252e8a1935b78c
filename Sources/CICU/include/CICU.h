#pragma once
#include <stdint.h>

/// Word boundaries of Unicode text by ICU's dictionaries, through the ICU that ships with Swift.
typedef struct CarouselWordBreaker CarouselWordBreaker;

/// Opens a breaker for a locale such as "zh"; NULL when ICU refuses.
CarouselWordBreaker *carousel_word_breaker_open(const char *locale);
void carousel_word_breaker_close(CarouselWordBreaker *breaker);

/// Writes the ends of the segments of `text` (UTF-16, `length` units) to `ends`, which has room for
/// `length` values, and returns how many there are; -1 when `breaker` is NULL or ICU reports an error.
/// The last end is `length`. `text` must stay alive during the call only.
int32_t carousel_word_breaker_segments(CarouselWordBreaker *breaker, const uint16_t *text, int32_t length,
                                       int32_t *ends);
