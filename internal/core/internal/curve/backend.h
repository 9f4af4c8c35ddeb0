// SPDX-License-Identifier: Apache-2.0
//
// The few calls that package curve makes: each does one whole operation in one crossing from Go, wipes what it put on the C stack, and
// takes pointers to fixed-size buffers that the caller owns. `secret` marks pointers to key material; it is read in place.
// Results: SR_OK, or why not.

#ifndef STRONGROOM_CURVE_BACKEND_H
#define STRONGROOM_CURVE_BACKEND_H

#include <stddef.h>
#include <secp256k1.h>

#define SR_OK 0
#define SR_SCALAR 1 // a scalar is 0 or not below n
#define SR_PUBLIC 2 // a public key is no point, or not that of the scalar
#define SR_FAULT 3  // the library refused what cannot be refused

typedef unsigned char sr_byte;

// A context whose blinding is randomised with seed32, NULL when there is no memory.
secp256k1_context *sr_new(const sr_byte *seed32);

// pub33 = compressed secret * G.
int sr_public_key(const secp256k1_context *ctx, const sr_byte *secret, sr_byte *pub33);

// sig64 = r || s over digest32, s low; recid as for public-key recovery. Nonce: RFC 6979 with aux32 as additional data (section 3.6), or
// without when aux32 is NULL.
int sr_ecdsa_sign(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *digest32, const sr_byte *aux32, sr_byte *sig64, int *recid);

// SR_OK when sig64 (s low) with recid is by pub33 over digest32. recid -1 checks the signature alone.
int sr_ecdsa_check(const secp256k1_context *ctx, const sr_byte *pub33, const sr_byte *digest32, const sr_byte *sig64, int recid);

// BIP-340 signature over msg by secret, which must belong to x-only key internal32 (else SR_PUBLIC). With tweak set the key pair is first tweaked
// as BIP-341 says: by TapTweak of internal32 and the root of rootlen bytes (0 or 32). key32 receives the x-only key that the signature is by.
int sr_bip340_sign(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *internal32, int tweak, const sr_byte *root, size_t rootlen,
                   const sr_byte *msg, size_t msglen, const sr_byte *aux32, sr_byte *sig64, sr_byte *key32);

int sr_bip340_check(const secp256k1_context *ctx, const sr_byte *key32, const sr_byte *msg, size_t msglen, const sr_byte *sig64);

// out32 = x-only output key of internal32 and the root, parity of its y in *parity (BIP-341, "taproot_tweak_pubkey").
int sr_taproot_output(const secp256k1_context *ctx, const sr_byte *internal32, const sr_byte *root, size_t rootlen, sr_byte *out32, int *parity);

// out32 = x coordinate of secret * P, P being the point of pub65 (SEC 1 uncompressed).
int sr_agree(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *pub65, sr_byte *out32);

// out = addend + factor * secret mod n, or addend - factor * secret with subtract set. All are in [1, n-1]; factor is public. On refusal out is
// zero. out is none of the others.
int sr_mul_add(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *factor, const sr_byte *addend, int subtract, sr_byte *out);

// out65 = the uncompressed form of a public key of publen bytes, SEC 1 compressed or uncompressed.
int sr_convert(const secp256k1_context *ctx, const sr_byte *pub, size_t publen, sr_byte *out65);

// out65 = a * G + b * P for public a and b, or a * G + P with b NULL, in variable time; P is the point of pub65.
int sr_combine(const secp256k1_context *ctx, const sr_byte *pub65, const sr_byte *a, const sr_byte *b, sr_byte *out65);

// out = secret + tweak32 mod n. out may be secret. On refusal out is zero.
int sr_tweak_add(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *tweak32, sr_byte *out);

#endif
