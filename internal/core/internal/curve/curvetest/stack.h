// SPDX-License-Identifier: Apache-2.0

#ifndef STRONGROOM_CURVETEST_STACK_H
#define STRONGROOM_CURVETEST_STACK_H

#include <stddef.h>
#include <secp256k1.h>

#define ST_ROOM (96 * 1024)

// Fills ST_ROOM bytes of stack below the caller with a pattern.
void st_paint(void);

// How far below the caller the pattern has been overwritten, in bytes.
size_t st_depth(void);

// Copies ST_ROOM bytes of stack below the caller to out, lowest address first.
void st_copy(unsigned char *out);

// The library's own calls, with nothing erased afterwards: 0 public key, 1 ECDSA, 2 scalar addition, 3 BIP-340, 4 tweaked BIP-340,
// 5 agreement, 6 scalar multiplication.
int st_raw(const secp256k1_context *ctx, int kind, const unsigned char *secret, const unsigned char *msg32);

secp256k1_context *st_context(void);

#endif
