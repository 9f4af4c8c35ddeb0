// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// recipe says, in the API's description, how to make the bytes that are signed, exactly enough to write a client from the description alone.
// %[1]x is the canonical body of the example, %[2]x its canonical request, %[3]x its id.
const recipe = `Requests are signed by who asks and decided in the core, which rebuilds and checks everything that is sent here.

# What is signed for a request

The signature of POST /v1/requests covers the message

    "strongroom/request/v1" || 0x00 || R

where R is the request in canonical CBOR: core deterministic encoding (RFC 8949 section 4.2.1; shortest integers, definite lengths, keys ascending, nothing
after the value), a map with unsigned integer keys:

    1 version: 1                      5 the Idempotency-Key: text
    2 authority: 32 bytes             6 operation: text
    3 domain: 32 bytes                7 body: byte string that holds the canonical CBOR of the map below
    4 initiator: text, "p_…"          8 notAfter: Unix seconds, integer

GET /v1/status has authority and domain in hex. The body is a map by operation; a member that is marked ? and is empty or 0 is left out, all others are there:

    transfer          1 wallet, 2 asset (CAIP-19), 3 source (integer), 4 outputs: array of {1 address, 2 amount}, 5 feeCap
    wallet_create     1 wallet, 2 chain (CAIP-2), 3 scheme, 4 seed?, 5 account? (integer), 6 temperature?: "warm"
    address_create    1 wallet, 2 count (integer)
    policy_change     1 document: byte string; 2 replay?: {1 from, 2 size, 3 report: 32 bytes}
    person_enrol      1 person, 2 kind, 3 key: {1 alg, 2 pub: bytes}, 4 groups?: array, sorted, 5 possession?: 64 bytes, the new key's signature over
                      "strongroom/enrol/v1" || 0x00 || CBOR of {1 authority, 2 this body without member 5}; 6 line? (1 to 3), 7 roles?: array, sorted
    person_revoke     1 person
    group_set         1 group, 2 members: array, sorted
    whitelist_add     1 id, 2 chain, 3 address, 4 counterparty?, 5 proof?: {1 kind, 2 scheme?, 3 signature?: bytes, 4 wallet?, 5 index?, 6 amount?, 7 txid?, 8 note?},
                      6 expires? (Unix seconds), 7 kind?, 8 tags?: array, sorted, 9 acknowledged?: text
    whitelist_remove  1 id
    whitelist_suspend  1 id
    whitelist_review  1 ids: array, sorted, 2 resume?: true
    blacklist_add     1 chain, 2 address, 3 reason?
    blacklist_remove  1 chain, 2 address
    wallet_temperature     1 wallet, 2 to: "hot" or "warm"
    warm_open              1 wallet, 2 asset (CAIP-19), 3 amount, 4 notAfter (Unix seconds)
    warm_close             1 wallet
    app_grant              1 grant, 2 caller, 3 gateway, 4 functions: array, sorted, 5 mechanisms: array of CKM numbers, ascending, 6 keys?: array, sorted, 7 rate, 8 burst,
                           9 maxUses?, 10 notAfter (Unix seconds), 11 import?: true, 12 compat?: true
    app_revoke             1 grant
    app_key_revoke         1 keys: array, sorted
    wallet_move            1 wallet, 2 to: bytes, id of the domain, 3 temperature: "cold" in an offline domain, else "hot" or "warm"
    offline_add            1 counter, 2 name, 3 leaf, 4 salt, 5 body: bytes, the offline domain's first entry
    offline_remove         1 counter, 2 domain: bytes, its id
    domain_points_set      1 counter, 2 allow, 3 deny, 4 freeze: byte strings of 32; point n is bit n%%8 of byte n/8
    domain_epoch_load      1 counter, 2 epoch, 3 recovery?: {1 public: bytes, 2 threshold, 3 shares, 4 commitments: bytes, 5 transcript: bytes, 8 custodians: array of keys}
    domain_epoch_commit    1 counter, 2 epoch, 3 pattern: bytes, 4 receipts?: array of {1 receipt: bytes, 2 signature: bytes}
    domain_epoch_activate  1 counter, 2 epoch, 3 pattern: bytes
    domain_epoch_finalize  1 counter, 2 epoch, 3 pattern: bytes
    domain_epoch_cancel    1 counter, 2 epoch, 3 pattern: bytes
    domain_zeroize         1 counter, 2 phrase
    domain_restore         1 counter, 2 epoch, 3 pattern: bytes
    domain_reanchor_cancel  1 counter, 2 reanchor: integer, its entry
    domain_freeze          1 reason
    domain_unfreeze        1 since: integer, entry of the freeze, 2 reason
    domain_drain           1 since: integer, entry of the freeze, or 0, 2 reason
    domain_resume          1 since: integer, entry of the freeze or drain, 2 reason
    request_hold           1 request: bytes, its id, 2 reason
    request_release        1 request: bytes, its id, 2 hold: integer, entry of the hold, 3 reason
    slot_reconcile         1 wallet, 2 accounts?: array of {1 index, 2 next nonce}, 3 spent?: array of {1 transaction id: 32 bytes in internal byte order, 2 index}
    contract_call          1 wallet, 2 source (integer), 3 contract (EIP-55), 4 value: amount in wei, 5 data: bytes, 6 feeCap
    message_sign           1 wallet, 2 source (integer), 3 kind: "typed" or "personal", 4 content: text (typed data in canonical form)
    person_key_add    1 person (the initiator), 2 key: as in person_enrol, 3 possession: the new key's signature over
                      "strongroom/key-add/v1" || 0x00 || CBOR of {1 authority, 2 this body without member 3}
    person_key_remove  1 person, 2 key: text, the key's id

Text is a text string. Amounts (amount, feeCap) are byte strings: big-endian, without leading zeros, empty for 0. Addresses have their one spelling: EIP-55,
lower-case bech32, base58check.

Ed25519 signs the message itself (RFC 8032). P-256 signs its SHA-256; the signature is r || s, 64 bytes. A session's MAC is HMAC-SHA-256 over the same message.
evidence.key is the key's id: hex of the first 16 bytes of SHA-256(alg || 0x00 || public key), as /v1/persons lists it. The request's id is
SHA-256("strongroom/request-id/v1" || 0x00 || CBOR of {1 authority, 2 initiator, 3 idempotency key}): a retry has the same id.

Example: authority and domain are 32 bytes of 0x11, initiator p_aaaaaaaaaaaaaaaa, Idempotency-Key "payout-7", notAfter 1800000000, a transfer from the wallet hot,
asset eip155:1/slip44:60, source 0, of 1000 to 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed with the feeCap 500. The body is

    %[1]x

and R is

    %[2]x

and the request's id is %[3]x.

# What is signed for an approval

The signature of :approve, :reject and :cancel covers the message of GET /v1/requests/{id}/statement for the person and decision: tag
"strongroom/approval/v1" || 0x00 || canonical statement. Whoever signs should rebuild it from the request's canonical bytes (docs/spec/request.md,
"Approval statement") or use strongroom's own command: serve is not trusted, and what it shows may be a lie.

# Failures

A failure is application/problem+json (RFC 9457); its type is the path of a page here that says what the kind means and what to do.`

// exampleRequest is the request of the recipe.
func exampleRequest() request.Request {
	var id [32]byte
	for i := range id {
		id[i] = 0x11
	}
	body := request.TransferBody{Wallet: "hot", Asset: "eip155:1/slip44:60", FeeCap: custody.U64(500),
		Outputs: []request.Output{{Address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Amount: custody.U64(1000)}}}
	return request.Request{V: 1, Authority: custody.AuthorityID(id), Domain: custody.DomainID(id), Initiator: "p_aaaaaaaaaaaaaaaa", Key: "payout-7",
		Operation: request.Transfer, Body: canon.Encode(body), NotAfter: 1_800_000_000}
}

// signing gives the recipe with its example.
func signing() string {
	r := exampleRequest()
	id := r.ID()
	return fmt.Sprintf(recipe, r.Body, r.Encode(), id[:])
}
