// SPDX-License-Identifier: Apache-2.0

// Package request has what people and services say to a domain: the request, the evidence of who asks, the statement that
// approvers sign. Each has one encoding (canon) and one tag; docs/spec/request.md is its description for others.
//
// It checks form only. Whether a request may be done is decided in policy and authority.
package request

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/webauthn"
)

// Operation names what a request asks for. Names are wire format and never reused.
type Operation string

// The operations.
const (
	Transfer        Operation = "transfer"         // body [TransferBody]
	WalletCreate    Operation = "wallet_create"    // body [WalletCreateBody]
	AddressCreate   Operation = "address_create"   // body [AddressCreateBody]
	PolicyChange    Operation = "policy_change"    // body [PolicyChangeBody]
	PersonEnrol     Operation = "person_enrol"     // body [PersonEnrolBody]
	PersonRevoke    Operation = "person_revoke"    // body [PersonRevokeBody]
	GroupSet        Operation = "group_set"        // body [GroupSetBody]
	WhitelistAdd    Operation = "whitelist_add"    // body [WhitelistAddBody]
	WhitelistRemove Operation = "whitelist_remove" // body [WhitelistRemoveBody]

	WalletTemperature Operation = "wallet_temperature" // body [WalletTemperatureBody]
	WarmOpen          Operation = "warm_open"          // body [WarmOpenBody]
	WarmClose         Operation = "warm_close"         // body [WarmCloseBody]

	AppGrant     Operation = "app_grant"      // body [AppGrantBody]
	AppRevoke    Operation = "app_revoke"     // body [AppRevokeBody]
	AppKeyRevoke Operation = "app_key_revoke" // body [AppKeyRevokeBody]

	PointsSet     Operation = "domain_points_set"     // body [PointsSetBody]
	EpochLoad     Operation = "domain_epoch_load"     // body [EpochLoadBody]
	EpochCommit   Operation = "domain_epoch_commit"   // body [EpochCommitBody]
	EpochActivate Operation = "domain_epoch_activate" // body [EpochActivateBody]
	EpochFinalize Operation = "domain_epoch_finalize" // body [EpochFinalizeBody]
	EpochCancel   Operation = "domain_epoch_cancel"   // body [EpochCancelBody]
	Zeroize       Operation = "domain_zeroize"        // body [ZeroizeBody]
	Restore       Operation = "domain_restore"        // body [RestoreBody]

	ReanchorCancel Operation = "domain_reanchor_cancel" // body [ReanchorCancelBody]
	SlotReconcile  Operation = "slot_reconcile"         // body [SlotReconcileBody]
)

// Operations lists every operation.
func Operations() []Operation {
	return []Operation{Transfer, WalletCreate, AddressCreate, PolicyChange, PersonEnrol, PersonRevoke, GroupSet, WhitelistAdd, WhitelistRemove,
		PersonKeyAdd, PersonKeyRemove, PointsSet, EpochLoad, EpochCommit, EpochActivate, EpochFinalize, EpochCancel, Zeroize, Restore,
		WalletTemperature, WarmOpen, WarmClose, AppGrant, AppRevoke, AppKeyRevoke, OfflineAdd, OfflineRemove, WalletMove, ReanchorCancel, SlotReconcile,
		Freeze, Unfreeze, Drain, Resume, RequestHold, RequestRelease,
		WhitelistSuspend, WhitelistReview, BlacklistAdd, BlacklistRemove, ContractCall, MessageSign}
}

// Signs says whether permits are made for o: something is signed with a wallet's key.
func (o Operation) Signs() bool { return o == Transfer || o == ContractCall || o == MessageSign }

// Pays says whether o becomes a transaction that is carried to its chain.
func (o Operation) Pays() bool { return o == Transfer || o == ContractCall }

// NeverAutomatic says whether no route may let o through without approvals: it opens a way to keys that only a quorum opens, or shuts one
// that nobody can open again.
func (o Operation) NeverAutomatic() bool {
	return o == WarmOpen || o == WalletTemperature || o == WalletMove || o == AppGrant || o == AppKeyRevoke
}

// Governance says whether o changes persons, groups, rules, the domain's life cycle or its operational state, frees slots that are held, or holds
// or releases requests. Such a request takes a reserved plan of the document, never a route.
func (o Operation) Governance() bool {
	return o.EditsRules() || o.LifeCycle() || o == SlotReconcile || o.Oversight()
}

// EditsRules says whether o makes another rule document, or changes the address ledger, where there is one ([Operation.Lists]).
func (o Operation) EditsRules() bool {
	switch o {
	case PolicyChange, PersonEnrol, PersonRevoke, GroupSet, WhitelistAdd, WhitelistRemove, PersonKeyAdd, PersonKeyRemove,
		WhitelistSuspend, WhitelistReview, BlacklistAdd, BlacklistRemove:
		return true
	default:
		return false
	}
}

// LifeCycle says whether o changes the life cycle of the domain: control points, epochs, zeroize, restore, the end of a re-anchoring
// (docs/spec/domain.md), and which offline domains belong to it (docs/spec/cold.md).
func (o Operation) LifeCycle() bool {
	switch o {
	case PointsSet, EpochLoad, EpochCommit, EpochActivate, EpochFinalize, EpochCancel, Zeroize, Restore, ReanchorCancel, OfflineAdd, OfflineRemove:
		return true
	default:
		return false
	}
}

// Request is what somebody asks of a domain. It is immutable: its hash is what evidence and approvals bind.
type Request struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Authority custody.AuthorityID `cbor:"2,keyasint"`
	Domain    custody.DomainID    `cbor:"3,keyasint"`
	Initiator custody.PersonID    `cbor:"4,keyasint"`
	Key       string              `cbor:"5,keyasint"` // idempotency key, 1 to 64 characters of [A-Za-z0-9._:-]
	Operation Operation           `cbor:"6,keyasint"`
	Body      []byte              `cbor:"7,keyasint"` // canonical encoding of the operation's body
	NotAfter  int64               `cbor:"8,keyasint"` // Unix seconds; at most [MaxLifetime] after it is accepted
}

// Encode gives the canonical encoding.
func (r Request) Encode() []byte { return canon.Encode(&r) }

// Hash is what evidence signs and approvals name: SHA-256 under [canon.TagRequest].
func (r Request) Hash() [32]byte { return canon.Hash(canon.TagRequest, r) }

// ID names the request: the hash of authority, initiator and idempotency key, so that a retry has the same id.
func (r Request) ID() custody.RequestID { return ID(r.Authority, r.Initiator, r.Key) }

// ID gives the request id for an authority, an initiator and an idempotency key.
func ID(a custody.AuthorityID, by custody.PersonID, key string) custody.RequestID {
	return custody.RequestID(canon.Hash(canon.TagRequestID, &struct {
		A custody.AuthorityID `cbor:"1,keyasint"`
		P custody.PersonID    `cbor:"2,keyasint"`
		K string              `cbor:"3,keyasint"`
	}{a, by, key}))
}

// Decode reads a canonical request and checks its form and its body's.
func Decode(b []byte) (Request, error) {
	p, err := Parse(b)
	if err != nil {
		return Request{}, err
	}
	return p.Request, nil
}

// Parsed is a request that was decoded and checked, with what follows from it. It is not changed after [Parse].
type Parsed struct {
	Request
	Decoded Body // of the operation
	Raw     []byte
	Ident   custody.RequestID // [Request.ID]
	Digest  [32]byte          // [Request.Hash]
}

// Parse reads a canonical request and checks its form and its body's. b belongs to the result.
func Parse(b []byte) (*Parsed, error) {
	p := &Parsed{Raw: b}
	if len(b) > MaxRequest {
		return nil, fmt.Errorf("request has %d bytes, more than %d", len(b), MaxRequest)
	}
	if err := canon.Decode(b, &p.Request); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	body, err := p.check()
	if err != nil {
		return nil, err
	}
	p.Decoded, p.Ident, p.Digest = body, p.ID(), canon.HashBytes(canon.TagRequest, b)
	return p, nil
}

// Message is what evidence signs or MACs.
func (p *Parsed) Message() []byte { return canon.TagBytes(canon.TagRequest, p.Raw) }

// Check says whether r is well-formed, its body included.
func (r Request) Check() error {
	_, err := r.check()
	return err
}

func (r Request) check() (Body, error) {
	switch {
	case r.V != 1:
		return nil, fmt.Errorf("request: version %d is not known; this version reads 1", r.V)
	case r.NotAfter <= 0 || r.NotAfter > maxTime:
		return nil, errors.New("request: notAfter must be a time in Unix seconds")
	}
	if err := r.Initiator.Check(); err != nil {
		return nil, fmt.Errorf("request: initiator: %w", err)
	}
	if err := CheckIdempotencyKey(r.Key); err != nil {
		return nil, err
	}
	body, err := r.DecodeBody()
	if err != nil {
		return nil, fmt.Errorf("request: %s: %w", r.Operation, err)
	}
	return body, nil
}

// CheckIdempotencyKey says whether k can be an idempotency key.
func CheckIdempotencyKey(k string) error {
	ok := len(k) >= 1 && len(k) <= 64
	for _, c := range []byte(k) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-')
	}
	if !ok {
		return errors.New("idempotency key must be 1 to 64 characters of A-Z a-z 0-9 . _ : -")
	}
	return nil
}

// Algorithm names a signature algorithm of people's and services' keys.
type Algorithm string

// The algorithms. Ed25519 signs the message (RFC 8032); P-256 signs its SHA-256 (FIPS 186-5), signature as r||s, 64 bytes. A passkey signs the
// SHA-256 of the message as its challenge; what stands for the signature is a [webauthn.Assertion].
const (
	Ed25519        Algorithm = "ed25519"
	P256           Algorithm = "p256"
	PasskeyP256    Algorithm = "passkey-p256"    // WebAuthn ES256
	PasskeyEd25519 Algorithm = "passkey-ed25519" // WebAuthn EdDSA
)

// PublicKey is a key that people or services sign with: Ed25519 as 32 bytes, P-256 as 33 bytes compressed (SEC 1).
type PublicKey struct {
	Alg    Algorithm `cbor:"1,keyasint" json:"alg"`
	Pub    []byte    `cbor:"2,keyasint" json:"pub"`
	RP     string    `cbor:"3,keyasint,omitempty" json:"rp,omitempty"`     // passkeys: relying party id, a domain name
	Origin string    `cbor:"4,keyasint,omitempty" json:"origin,omitempty"` // passkeys: origin of the pages where it is used
}

// MaxSig is the longest that a signature of a person's key can be, in bytes: a passkey's assertion.
const MaxSig = webauthn.MaxAssertion

// KeyRef names a public key: the first 16 bytes of SHA-256 over algorithm, zero byte and key, as 32 hex digits. Of a passkey relying party
// and origin follow, each behind a zero byte.
type KeyRef string

// Check says whether k has the form of a key's name.
func (k KeyRef) Check() error {
	if b, err := hex.DecodeString(string(k)); err != nil || len(b) != 16 || hex.EncodeToString(b) != string(k) {
		return errors.New("a key is named by 32 lower-case hex digits")
	}
	return nil
}

// Ref gives the key's name.
func (k PublicKey) Ref() KeyRef {
	b := append(append([]byte(k.Alg), 0), k.Pub...)
	if k.Passkey() {
		b = append(append(b, 0), k.RP...)
		b = append(append(b, 0), k.Origin...)
	}
	h := sha256.Sum256(b)
	return KeyRef(hex.EncodeToString(h[:16]))
}

// Evidence shows who made a request: the initiator's signature over [canon.TagRequest], or the MAC of an open session, or their signature over a call
// of the REST API that asks for it. Exactly one of the three is present.
type Evidence struct {
	Key     KeyRef    `cbor:"1,keyasint,omitempty"` // key that signed
	Sig     []byte    `cbor:"2,keyasint,omitempty"` // as [PublicKey.Verify] takes it
	Session []byte    `cbor:"3,keyasint,omitempty"` // 16 bytes, from [SessionGrant]
	MAC     []byte    `cbor:"4,keyasint,omitempty"` // HMAC-SHA-256 of the same message, 32 bytes
	HTTP    *HTTPCall `cbor:"5,keyasint,omitempty"` // what Sig signs instead of the message
}

// HTTPCall is a signed call of the REST API that asks for something (docs/spec/request.md). Sig signs Base, which has the digest of Body.
type HTTPCall struct {
	Base []byte `cbor:"1,keyasint"` // signature base, RFC 9421 section 2.5
	Body []byte `cbor:"2,keyasint"` // JSON as it was sent, at most [MaxCall]
}

// Check says whether e has one of its three forms.
func (e Evidence) Check() error {
	signed := e.Key != "" && CheckSig(e.Sig) == nil && len(e.Session) == 0 && len(e.MAC) == 0
	maced := e.Key == "" && len(e.Sig) == 0 && len(e.Session) == 16 && len(e.MAC) == 32 && e.HTTP == nil
	if signed && e.HTTP != nil {
		if len(e.Sig) != 64 || len(e.HTTP.Base) == 0 || len(e.HTTP.Base) > httpsig.MaxBase || len(e.HTTP.Body) == 0 || len(e.HTTP.Body) > MaxCall {
			return fmt.Errorf("a signed call must have a signature of 64 bytes, a signature base of at most %d and a body of at most %d", httpsig.MaxBase, MaxCall)
		}
	}
	if !signed && !maced {
		return errors.New("evidence must be a key id with a signature, or a 16-byte session with a 32-byte MAC")
	}
	if signed {
		return e.Key.Check()
	}
	return nil
}

// SessionOpening asks for a session of a service; the service signs it under [canon.TagSession]. Requests that come with a
// session's MAC are allowed on automatic routes only.
type SessionOpening struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Authority custody.AuthorityID `cbor:"2,keyasint"`
	Domain    custody.DomainID    `cbor:"3,keyasint"`
	Service   custody.PersonID    `cbor:"4,keyasint"`
	Ephemeral []byte              `cbor:"5,keyasint"` // the service's one-time X25519 public key, 32 bytes
	NotAfter  int64               `cbor:"6,keyasint"` // Unix seconds; at most [MaxSession] ahead
}

// SessionGrant is the core's answer. Both sides derive the MAC key: HKDF-SHA-256 of the X25519 secret, salt the hash of the
// opening under [canon.TagSession], info [canon.TagSessionKey] and the session id.
type SessionGrant struct {
	Session   []byte `cbor:"1,keyasint"` // 16 bytes
	Ephemeral []byte `cbor:"2,keyasint"` // the core's one-time X25519 public key
	Seq       uint64 `cbor:"3,keyasint"` // its log entry
	Sig       []byte `cbor:"4,keyasint"` // domain identity key over [SessionGrant] without Sig, [canon.TagReply]
}
