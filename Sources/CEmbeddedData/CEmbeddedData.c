#include "CEmbeddedData.h"

static const uint8_t train[] = {
#embed "train.tsv"
};

static const uint8_t test[] = {
#embed "test.tsv"
};

static const uint8_t attribution[] = {
#embed "ATTRIBUTION.md"
};

// Swift cannot import arrays of this size, hence the functions.
const uint8_t *carousel_embedded_train(size_t *length) { *length = sizeof train; return train; }
const uint8_t *carousel_embedded_test(size_t *length) { *length = sizeof test; return test; }
const uint8_t *carousel_embedded_attribution(size_t *length) { *length = sizeof attribution; return attribution; }
