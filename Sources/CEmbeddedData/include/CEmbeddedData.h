#pragma once
#include <stddef.h>
#include <stdint.h>

/// The built-in English sentiment sample (see ATTRIBUTION.md): tab-separated, header `label<TAB>text`.
const uint8_t *carousel_embedded_train(size_t *length);
const uint8_t *carousel_embedded_test(size_t *length);
/// Who wrote the sample and under which licence it may be used, UTF-8.
const uint8_t *carousel_embedded_attribution(size_t *length);
