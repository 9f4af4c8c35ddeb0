// SPDX-License-Identifier: Apache-2.0

// Package ep11 has the words of Enterprise PKCS#11 that the gateway, the door and the core share: numbers and names of mechanisms,
// attributes and return codes, the call and the answer of each of the forty functions as one canonical message, the table of mechanisms,
// the rules of templates, and the DER forms of keys (docs/spec/app-keys.md).
//
// Names of constants are those of the standard. A refusal is a [Failure], which carries the return code that a caller sees and nothing that
// tells which check failed. What is read here comes from callers: nothing panics on it, and everything has a bound.
//
// Sources: OASIS PKCS#11 v2.40 and v3.2, RFC 5280 (SubjectPublicKeyInfo), RFC 5958 (private keys), RFC 8017, RFC 5915, RFC 3279, RFC 9881.
package ep11

import (
	"errors"
	"fmt"
)

// Code is a return code: a CK_RV. As an error it prints its name. The zero Code is CKR_OK, which is never returned as an error.
type Code uint64

// Error gives the name, such as "CKR_SIGNATURE_INVALID", or the number of a code without one.
func (c Code) Error() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return numbered("CKR", uint64(c))
}

// Failure is a refusal as the caller gets it: exactly one error detail. Detail is words fit for the caller, at most 256 bytes, without a
// secret and without which check of an authenticated thing failed.
type Failure struct {
	Code   Code   `cbor:"1,keyasint"`
	Detail string `cbor:"2,keyasint,omitempty"`
	Retry  bool   `cbor:"3,keyasint,omitempty"` // the same call may succeed later
}

// Error gives the code's name and the detail.
func (f *Failure) Error() string {
	if f.Detail == "" {
		return f.Code.Error()
	}
	return f.Code.Error() + ": " + f.Detail
}

// Unwrap gives the code, so that errors.Is finds it.
func (f *Failure) Unwrap() error {
	if f == nil {
		return nil
	}
	return f.Code
}

// maxDetail is the longest detail in bytes.
const maxDetail = 256

// Fail makes a refusal with words for the caller.
func Fail(c Code, format string, args ...any) *Failure {
	detail := fmt.Sprintf(format, args...)
	return &Failure{Code: c, Detail: detail[:min(len(detail), maxDetail)]}
}

// FailureOf gives the refusal in an error: a [Failure] or a [Code] that it wraps, or, for an accident, CKR_GENERAL_ERROR with Retry and
// without any word of it. It is nil for nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) && f != nil && f.Code != CKR_OK {
		return f
	}
	var c Code
	if errors.As(err, &c) && c != CKR_OK {
		return &Failure{Code: c}
	}
	return &Failure{Code: CKR_GENERAL_ERROR, Retry: true}
}

// numbered is the name of a number without one.
func numbered(prefix string, n uint64) string { return fmt.Sprintf("%s_0x%08x", prefix, n) }
