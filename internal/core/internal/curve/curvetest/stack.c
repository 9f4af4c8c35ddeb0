// SPDX-License-Identifier: Apache-2.0

#define _DEFAULT_SOURCE // explicit_bzero

#include "stack.h"

#include <string.h>
#include <secp256k1_ecdh.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>

#define PATTERN 0x5e

static volatile unsigned char *bottom(void) { return (volatile unsigned char *)__builtin_frame_address(0) - ST_ROOM; }

__attribute__((noinline)) void st_paint(void) {
	unsigned char room[ST_ROOM];
	memset(room, PATTERN, sizeof room);
	__asm__ volatile("" : : "r"(room) : "memory"); // the stores count
}

__attribute__((noinline)) size_t st_depth(void) {
	volatile unsigned char *p = bottom();
	size_t i = 1024; // the lowest part may lie beyond what was painted: frames differ a little
	while (i < ST_ROOM && p[i] == PATTERN) i++;
	return ST_ROOM - i;
}

__attribute__((noinline)) void st_copy(unsigned char *out) {
	volatile unsigned char *p = bottom();
	for (size_t i = 0; i < ST_ROOM; i++) out[i] = p[i];
}

secp256k1_context *st_context(void) { return secp256k1_context_create(SECP256K1_CONTEXT_NONE); }

static int raw(const secp256k1_context *ctx, int kind, secp256k1_keypair *pair, unsigned char *scalar, const unsigned char *secret, const unsigned char *msg32) {
	secp256k1_pubkey pub;
	secp256k1_ecdsa_signature sig;
	unsigned char schnorr[64], hash[32];
	static const unsigned char generator[33] = {2, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07,
	                                            0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98};
	switch (kind) {
	case 0: return secp256k1_ec_pubkey_create(ctx, &pub, secret);
	case 1: return secp256k1_ecdsa_sign(ctx, &sig, msg32, secret, NULL, msg32);
	case 2: memcpy(scalar, secret, 32); return secp256k1_ec_seckey_tweak_add(ctx, scalar, msg32);
	case 3: return secp256k1_keypair_create(ctx, pair, secret) && secp256k1_schnorrsig_sign32(ctx, schnorr, msg32, pair, msg32);
	case 4: return secp256k1_keypair_create(ctx, pair, secret) && secp256k1_keypair_xonly_tweak_add(ctx, pair, msg32) &&
	               secp256k1_schnorrsig_sign32(ctx, schnorr, msg32, pair, msg32);
	case 5: // an agreement with the point of the generator, hashed
		return secp256k1_ec_pubkey_parse(ctx, &pub, generator, sizeof generator) && secp256k1_ecdh(ctx, hash, &pub, secret, NULL, NULL);
	case 6: memcpy(scalar, secret, 32); return secp256k1_ec_seckey_tweak_mul(ctx, scalar, msg32);
	default: return 0;
	}
}

// The caller's own buffers are erased, so that what is found is the library's.
int st_raw(const secp256k1_context *ctx, int kind, const unsigned char *secret, const unsigned char *msg32) {
	secp256k1_keypair pair;
	unsigned char scalar[32];
	int ok = raw(ctx, kind, &pair, scalar, secret, msg32);
	explicit_bzero(&pair, sizeof pair);
	explicit_bzero(scalar, sizeof scalar);
	return ok;
}
