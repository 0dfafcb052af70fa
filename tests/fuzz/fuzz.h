/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target is one function in fuzz_NAME.c, its first inputs are the files of corpus/NAME/.
 * 'make fuzz' links it with libFuzzer; 'make check' with replay.c, which feeds it the corpus.  It
 * returns 0 and must neither crash, leak, nor write anything, whatever the bytes are.
 */
#ifndef QD_FUZZ_H
#define QD_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
