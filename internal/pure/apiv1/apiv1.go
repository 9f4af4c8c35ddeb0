// SPDX-License-Identifier: Apache-2.0

// Package apiv1 has the JSON of the REST API's first version, as serve writes it and the client reads it, and the way from there
// to the canonical encodings that are signed and hashed. It is form only: nothing in it decides.
//
// Names are camelCase. Hashes, ids and public keys are lower-case hex, other bytes standard base64, amounts decimal strings of base units,
// times either Unix seconds (limits that are signed) or RFC 3339 (what happened). Members are added, never renamed.
package apiv1

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Problem is a failure as RFC 9457 writes it, media type application/problem+json.
type Problem struct {
	Type      string          `json:"type" doc:"URI reference of the page that explains the kind: /docs/problems/<kind>"`
	Title     string          `json:"title" doc:"the status in words"`
	Status    int             `json:"status" doc:"HTTP status"`
	Kind      problem.Kind    `json:"kind" doc:"what programs branch on"`
	Detail    string          `json:"detail" doc:"what is wrong and what to do"`
	Rule      string          `json:"rule,omitempty" doc:"rule that decided"`
	Unmet     []problem.Unmet `json:"unmet,omitempty" doc:"criteria that were not met"`
	Pointer   string          `json:"pointer,omitempty" doc:"JSON pointer (RFC 6901) to the member of the body that is wrong"`
	RequestID string          `json:"requestId,omitempty" doc:"request that the failure belongs to"`
	Incident  string          `json:"incident,omitempty" doc:"id of the log line that has the cause"`
	Retryable bool            `json:"retryable,omitempty" doc:"whether the same call may succeed later"`
}

// ProblemType gives the type member of a kind.
func ProblemType(k problem.Kind) string { return "/docs/problems/" + string(k) }

// Media types.
const (
	JSON        = "application/json"
	ProblemJSON = "application/problem+json"
	CBOR        = "application/cbor" // canonical [SignedRequest]
	Bytes       = "application/octet-stream"
)

// IdempotencyHeader names the header that every create needs.
const IdempotencyHeader = "Idempotency-Key"

// Submission is what POST /v1/requests takes. The idempotency key is the header's.
type Submission struct {
	Request  Request  `json:"request"`
	Evidence Evidence `json:"evidence,omitzero,omitempty" doc:"left out where the call itself is signed (RFC 9421)"`
	Payload  []byte   `json:"payload,omitempty" doc:"unsigned bytes of a transfer on an automatic route: then it is signed at once"`
}

// Request is request.Request without its key and version.
type Request struct {
	Authority string            `json:"authority" doc:"64 hex digits"`
	Domain    string            `json:"domain" doc:"64 hex digits"`
	Initiator custody.PersonID  `json:"initiator" doc:"p_ and 16 characters"`
	Operation request.Operation `json:"operation" doc:"transfer, wallet_create, address_create, policy_change, person_enrol, person_revoke, group_set, whitelist_add, whitelist_remove, person_key_add, person_key_remove, domain_points_set, domain_epoch_load, domain_epoch_commit, domain_epoch_activate, domain_epoch_finalize, domain_epoch_cancel, domain_zeroize, domain_restore, wallet_temperature, warm_open, warm_close, app_grant, app_revoke, app_key_revoke, wallet_move, offline_add, offline_remove, domain_reanchor_cancel, slot_reconcile, domain_freeze, domain_unfreeze, domain_drain, domain_resume, request_hold or request_release"`
	Body      json.RawMessage   `json:"body" doc:"the operation's body"`
	NotAfter  int64             `json:"notAfter" doc:"Unix seconds; nothing is done later"`
}

// Evidence is request.Evidence: key and signature, or session and mac.
type Evidence struct {
	Key       request.KeyRef `json:"key,omitempty" doc:"id of the key that signed, 32 hex digits"`
	Signature []byte         `json:"signature,omitempty" doc:"64 bytes over the canonical request"`
	Session   string         `json:"session,omitempty" doc:"id of an open session, 32 hex digits"`
	MAC       []byte         `json:"mac,omitempty" doc:"HMAC-SHA-256 over the canonical request, 32 bytes"`
}

// SignedRequest is a request with its evidence as a file: canonical CBOR. POST /v1/requests takes it as application/cbor, so
// that it can be made on a machine without a network.
type SignedRequest struct {
	Request  []byte           `cbor:"1,keyasint"` // canonical request.Request
	Evidence request.Evidence `cbor:"2,keyasint"`
	Payload  []byte           `cbor:"3,keyasint,omitempty"`
}

// Canonical gives the canonical evidence.
func (e Evidence) Canonical() (out request.Evidence, err error) {
	out = request.Evidence{Key: e.Key, Sig: e.Signature, MAC: e.MAC}
	if e.Session != "" {
		if out.Session, err = hex.DecodeString(e.Session); err != nil || len(out.Session) != 16 {
			return out, fmt.Errorf("session must be 32 hex digits")
		}
	}
	return out, nil
}

// EvidenceOf gives the JSON form.
func EvidenceOf(e request.Evidence) Evidence {
	return Evidence{Key: e.Key, Signature: e.Sig, Session: hex.EncodeToString(e.Session), MAC: e.MAC}
}

// NewBody gives an empty body of an operation, for decoding JSON or CBOR into; nil if the operation is not known.
func NewBody(o request.Operation) request.Body {
	switch o {
	case request.Transfer:
		return &request.TransferBody{}
	case request.WalletCreate:
		return &request.WalletCreateBody{}
	case request.AddressCreate:
		return &request.AddressCreateBody{}
	case request.PolicyChange:
		return &request.PolicyChangeBody{}
	case request.PersonEnrol:
		return &request.PersonEnrolBody{}
	case request.PersonRevoke:
		return &request.PersonRevokeBody{}
	case request.GroupSet:
		return &request.GroupSetBody{}
	case request.WhitelistAdd:
		return &request.WhitelistAddBody{}
	case request.WhitelistRemove:
		return &request.WhitelistRemoveBody{}
	case request.WhitelistSuspend:
		return &request.WhitelistSuspendBody{}
	case request.WhitelistReview:
		return &request.WhitelistReviewBody{}
	case request.BlacklistAdd:
		return &request.BlacklistAddBody{}
	case request.BlacklistRemove:
		return &request.BlacklistRemoveBody{}
	case request.PointsSet:
		return &request.PointsSetBody{}
	case request.EpochLoad:
		return &request.EpochLoadBody{}
	case request.EpochCommit:
		return &request.EpochCommitBody{}
	case request.EpochActivate:
		return &request.EpochActivateBody{}
	case request.EpochFinalize:
		return &request.EpochFinalizeBody{}
	case request.EpochCancel:
		return &request.EpochCancelBody{}
	case request.Zeroize:
		return &request.ZeroizeBody{}
	case request.Restore:
		return &request.RestoreBody{}
	case request.PersonKeyAdd:
		return &request.PersonKeyAddBody{}
	case request.PersonKeyRemove:
		return &request.PersonKeyRemoveBody{}
	case request.WalletTemperature:
		return &request.WalletTemperatureBody{}
	case request.WarmOpen:
		return &request.WarmOpenBody{}
	case request.WarmClose:
		return &request.WarmCloseBody{}
	case request.ReanchorCancel:
		return &request.ReanchorCancelBody{}
	case request.SlotReconcile:
		return &request.SlotReconcileBody{}
	case request.ContractCall:
		return &request.ContractCallBody{}
	case request.MessageSign:
		return &request.MessageSignBody{}
	case request.AppGrant:
		return &request.AppGrantBody{}
	case request.AppRevoke:
		return &request.AppRevokeBody{}
	case request.AppKeyRevoke:
		return &request.AppKeyRevokeBody{}
	case request.OfflineAdd:
		return &request.OfflineAddBody{}
	case request.OfflineRemove:
		return &request.OfflineRemoveBody{}
	case request.WalletMove:
		return &request.WalletMoveBody{}
	case request.Freeze:
		return &request.FreezeBody{}
	case request.Unfreeze:
		return &request.UnfreezeBody{}
	case request.Drain:
		return &request.DrainBody{}
	case request.Resume:
		return &request.ResumeBody{}
	case request.RequestHold:
		return &request.RequestHoldBody{}
	case request.RequestRelease:
		return &request.RequestReleaseBody{}
	default:
		return nil
	}
}

// RequestOf gives the JSON form of a canonical request, for a submission.
func RequestOf(r request.Request) (Request, error) {
	body, err := r.DecodeBody()
	if err != nil {
		return Request{}, err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return Request{}, fmt.Errorf("write body: %w", err)
	}
	return Request{Authority: r.Authority.String(), Domain: r.Domain.String(), Initiator: r.Initiator, Operation: r.Operation, Body: b,
		NotAfter: r.NotAfter}, nil
}

// CertificateStatement is what a person signs with an approval key, under canon.TagCertify, to be given a client certificate
// for the key of a certificate request.
type CertificateStatement struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Authority custody.AuthorityID `cbor:"2,keyasint"`
	Domain    custody.DomainID    `cbor:"3,keyasint"`
	Person    custody.PersonID    `cbor:"4,keyasint"`
	Request   [32]byte            `cbor:"5,keyasint"` // SHA-256 of the certificate request, DER (PKCS #10)
	NotAfter  int64               `cbor:"6,keyasint"` // Unix seconds: the statement is not accepted later; at most an hour ahead
}

// CertificateWindow is how far ahead a statement's NotAfter may lie, in seconds.
const CertificateWindow = 3600

// Message is what is signed.
func (s CertificateStatement) Message() []byte { return canon.Message(canon.TagCertify, s) }

// Time writes Unix nanoseconds as RFC 3339 in UTC.
func Time(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// Hex writes bytes as lower-case hex.
func Hex(b []byte) string { return hex.EncodeToString(b) }
