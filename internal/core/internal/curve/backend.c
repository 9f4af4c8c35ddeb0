// SPDX-License-Identifier: Apache-2.0

#define _DEFAULT_SOURCE // explicit_bzero

#include "backend.h"

#include <string.h>
#include <secp256k1_ecdh.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_recovery.h>
#include <secp256k1_schnorrsig.h>

// The library clears its own temporaries with stores that a compiler may leave out (before release 0.6.0), so every call that saw a secret
// is followed by scrub: it zeroes the stretch of stack that the library's frames lay in. The deepest use measured is 5.4 KiB, for the key-pair
// tweak; the test that measures it fails above half of SCRUB, and finds the scalar where scrub is left out.
#define SCRUB 16384

__attribute__((noinline)) static void scrub(void) {
	sr_byte stack[SCRUB];
	explicit_bzero(stack, sizeof stack);
}

secp256k1_context *sr_new(const sr_byte *seed32) {
	secp256k1_context *ctx = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
	if (ctx != NULL && !secp256k1_context_randomize(ctx, seed32)) {
		secp256k1_context_destroy(ctx);
		ctx = NULL;
	}
	scrub();
	return ctx;
}

int sr_public_key(const secp256k1_context *ctx, const sr_byte *secret, sr_byte *pub33) {
	secp256k1_pubkey pub;
	size_t len = 33;
	int ok = secp256k1_ec_pubkey_create(ctx, &pub, secret);
	scrub();
	if (!ok) return SR_SCALAR;
	return secp256k1_ec_pubkey_serialize(ctx, pub33, &len, &pub, SECP256K1_EC_COMPRESSED) ? SR_OK : SR_FAULT;
}

int sr_ecdsa_sign(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *digest32, const sr_byte *aux32, sr_byte *sig64, int *recid) {
	secp256k1_ecdsa_recoverable_signature sig;
	int ok = secp256k1_ecdsa_sign_recoverable(ctx, &sig, digest32, secret, secp256k1_nonce_function_rfc6979, aux32);
	scrub();
	if (!ok) return SR_SCALAR;
	return secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, sig64, recid, &sig) ? SR_OK : SR_FAULT;
}

int sr_ecdsa_check(const secp256k1_context *ctx, const sr_byte *pub33, const sr_byte *digest32, const sr_byte *sig64, int recid) {
	secp256k1_pubkey pub, by;
	secp256k1_ecdsa_signature sig;
	if (!secp256k1_ec_pubkey_parse(ctx, &pub, pub33, 33)) return SR_PUBLIC;
	if (!secp256k1_ecdsa_signature_parse_compact(ctx, &sig, sig64)) return SR_FAULT;
	if (recid < 0) return secp256k1_ecdsa_verify(ctx, &sig, digest32, &pub) ? SR_OK : SR_FAULT; // refuses a high s itself

	// Recovering the key and comparing it checks recid too, and is the same equation: Q = r^-1 (sR - zG) for the R that r and recid name
	// holds exactly when R = s^-1 (zG + rQ), of which verification compares the x coordinate.
	secp256k1_ecdsa_recoverable_signature rec;
	if (recid > 3 || secp256k1_ecdsa_signature_normalize(ctx, NULL, &sig)) return SR_FAULT; // normalize returns 1 for a high s
	if (!secp256k1_ecdsa_recoverable_signature_parse_compact(ctx, &rec, sig64, recid)) return SR_FAULT;
	if (!secp256k1_ecdsa_recover(ctx, &by, &rec, digest32)) return SR_FAULT;
	return secp256k1_ec_pubkey_cmp(ctx, &pub, &by) == 0 ? SR_OK : SR_FAULT;
}

// tap_tweak writes the tagged hash TapTweak(internal32 || root) of BIP-341.
static int tap_tweak(const secp256k1_context *ctx, const sr_byte *internal32, const sr_byte *root, size_t rootlen, sr_byte *tweak32) {
	static const sr_byte tag[8] = {'T', 'a', 'p', 'T', 'w', 'e', 'a', 'k'};
	sr_byte msg[64];
	if (rootlen > 32) return 0;
	memcpy(msg, internal32, 32);
	if (rootlen > 0) memcpy(msg + 32, root, rootlen);
	return secp256k1_tagged_sha256(ctx, tweak32, tag, sizeof tag, msg, 32 + rootlen);
}

static int keypair_key(const secp256k1_context *ctx, const secp256k1_keypair *pair, sr_byte *key32) {
	secp256k1_xonly_pubkey key;
	return secp256k1_keypair_xonly_pub(ctx, &key, NULL, pair) && secp256k1_xonly_pubkey_serialize(ctx, key32, &key);
}

static int bip340_sign(const secp256k1_context *ctx, secp256k1_keypair *pair, const sr_byte *secret, const sr_byte *internal32, int tweak,
                       const sr_byte *root, size_t rootlen, const sr_byte *msg, size_t msglen, const sr_byte *aux32, sr_byte *sig64, sr_byte *key32) {
	secp256k1_schnorrsig_extraparams extra = SECP256K1_SCHNORRSIG_EXTRAPARAMS_INIT;
	extra.ndata = (void *)aux32;
	if (!secp256k1_keypair_create(ctx, pair, secret)) return SR_SCALAR;
	if (!keypair_key(ctx, pair, key32)) return SR_FAULT;
	if (memcmp(key32, internal32, 32) != 0) return SR_PUBLIC;
	if (tweak) {
		sr_byte t[32];
		if (!tap_tweak(ctx, internal32, root, rootlen, t)) return SR_FAULT;
		if (!secp256k1_keypair_xonly_tweak_add(ctx, pair, t)) return SR_SCALAR;
		if (!keypair_key(ctx, pair, key32)) return SR_FAULT;
	}
	return secp256k1_schnorrsig_sign_custom(ctx, sig64, msg, msglen, pair, &extra) ? SR_OK : SR_FAULT;
}

int sr_bip340_sign(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *internal32, int tweak, const sr_byte *root, size_t rootlen,
                   const sr_byte *msg, size_t msglen, const sr_byte *aux32, sr_byte *sig64, sr_byte *key32) {
	secp256k1_keypair pair; // holds the secret
	int rc = bip340_sign(ctx, &pair, secret, internal32, tweak, root, rootlen, msg, msglen, aux32, sig64, key32);
	explicit_bzero(&pair, sizeof pair);
	scrub();
	return rc;
}

int sr_bip340_check(const secp256k1_context *ctx, const sr_byte *key32, const sr_byte *msg, size_t msglen, const sr_byte *sig64) {
	secp256k1_xonly_pubkey key;
	if (!secp256k1_xonly_pubkey_parse(ctx, &key, key32)) return SR_PUBLIC;
	return secp256k1_schnorrsig_verify(ctx, sig64, msg, msglen, &key) ? SR_OK : SR_FAULT;
}

int sr_taproot_output(const secp256k1_context *ctx, const sr_byte *internal32, const sr_byte *root, size_t rootlen, sr_byte *out32, int *parity) {
	secp256k1_xonly_pubkey internal, output;
	secp256k1_pubkey point;
	sr_byte t[32];
	if (!secp256k1_xonly_pubkey_parse(ctx, &internal, internal32)) return SR_PUBLIC;
	if (!tap_tweak(ctx, internal32, root, rootlen, t)) return SR_FAULT;
	if (!secp256k1_xonly_pubkey_tweak_add(ctx, &point, &internal, t)) return SR_PUBLIC;
	if (!secp256k1_xonly_pubkey_from_pubkey(ctx, &output, parity, &point)) return SR_FAULT;
	return secp256k1_xonly_pubkey_serialize(ctx, out32, &output) ? SR_OK : SR_FAULT;
}

int sr_tweak_add(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *tweak32, sr_byte *out) {
	if (out != secret) memcpy(out, secret, 32);
	int ok = secp256k1_ec_seckey_tweak_add(ctx, out, tweak32);
	scrub();
	if (!ok) {
		explicit_bzero(out, 32);
		return SR_SCALAR;
	}
	return SR_OK;
}

// x_alone makes the shared secret of the x coordinate, as SEC 1 section 3.3.1 has it, in place of the library's own hash.
static int x_alone(sr_byte *out, const sr_byte *x32, const sr_byte *y32, void *data) {
	(void)y32;
	(void)data;
	memcpy(out, x32, 32);
	return 1;
}

int sr_agree(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *pub65, sr_byte *out32) {
	secp256k1_pubkey pub;
	if (!secp256k1_ec_pubkey_parse(ctx, &pub, pub65, 65)) return SR_PUBLIC;
	int ok = secp256k1_ecdh(ctx, out32, &pub, secret, x_alone, NULL);
	scrub();
	if (!ok) {
		explicit_bzero(out32, 32);
		return SR_SCALAR;
	}
	return SR_OK;
}

int sr_mul_add(const secp256k1_context *ctx, const sr_byte *secret, const sr_byte *factor, const sr_byte *addend, int subtract, sr_byte *out) {
	memcpy(out, secret, 32);
	int ok = secp256k1_ec_seckey_tweak_mul(ctx, out, factor);
	if (ok && subtract) ok = secp256k1_ec_seckey_negate(ctx, out);
	if (ok) ok = secp256k1_ec_seckey_tweak_add(ctx, out, addend);
	scrub();
	if (!ok) {
		explicit_bzero(out, 32);
		return SR_SCALAR;
	}
	return SR_OK;
}

int sr_convert(const secp256k1_context *ctx, const sr_byte *pub, size_t publen, sr_byte *out65) {
	secp256k1_pubkey point;
	size_t len = 65;
	if (!secp256k1_ec_pubkey_parse(ctx, &point, pub, publen)) return SR_PUBLIC;
	return secp256k1_ec_pubkey_serialize(ctx, out65, &len, &point, SECP256K1_EC_UNCOMPRESSED) ? SR_OK : SR_FAULT;
}

int sr_combine(const secp256k1_context *ctx, const sr_byte *pub65, const sr_byte *a, const sr_byte *b, sr_byte *out65) {
	secp256k1_pubkey pub;
	size_t len = 65;
	if (!secp256k1_ec_pubkey_parse(ctx, &pub, pub65, 65)) return SR_PUBLIC;
	if (b != NULL && !secp256k1_ec_pubkey_tweak_mul(ctx, &pub, b)) return SR_SCALAR;
	if (!secp256k1_ec_pubkey_tweak_add(ctx, &pub, a)) return SR_SCALAR;
	return secp256k1_ec_pubkey_serialize(ctx, out65, &len, &pub, SECP256K1_EC_UNCOMPRESSED) ? SR_OK : SR_FAULT;
}
