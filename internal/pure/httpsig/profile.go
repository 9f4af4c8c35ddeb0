// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Tag is the parameter tag of signatures for this API. A signature for another application is not taken.
const Tag = "strongroom"

// Names of components.
const (
	Method         = "@method"
	Authority      = "@authority" // host in lower case, with the port unless it is 443
	Path           = "@path"
	Query          = "@query" // a question mark and the query; there always
	ContentDigest  = "content-digest"
	ContentType    = "content-type"
	IdempotencyKey = "idempotency-key"
)

// Window is how long a signature may be good for, in seconds: from created to expires.
const Window = 300

// MaxNonce and MinNonce bound a nonce, in characters.
const (
	MinNonce = 16
	MaxNonce = 64
)

// Algorithms' names in the parameter alg (section 6.2), which may be left out: the key has its algorithm.
const (
	Ed25519 = "ed25519"
	P256    = "ecdsa-p256-sha256"
)

// Components lists what a call signs, in the order that programs of ours write: with a body its digest, with an idempotency key that.
func Components(body, key bool) []string {
	names := []string{Method, Authority, Path, Query}
	if body {
		names = append(names, ContentDigest)
	}
	if key {
		names = append(names, IdempotencyKey)
	}
	return names
}

// CheckProfile says whether an input is one of this API's: it covers all of required, nothing that is not known here, and has each parameter but alg.
// It does not look at a clock.
func (i Input) CheckProfile(required []string) error {
	for _, n := range required {
		if !slices.Contains(i.Names, n) {
			return fmt.Errorf("the signature does not cover %q", n)
		}
	}
	for _, n := range i.Names {
		if n != ContentType && !slices.Contains(Components(true, true), n) {
			return fmt.Errorf("the signature covers %q, which is not known here", n)
		}
	}
	p := i.Params
	switch {
	case p.Tag != Tag:
		return fmt.Errorf("the signature's tag must be %q", Tag)
	case p.KeyID == "":
		return errors.New("the signature has no keyid")
	case len(p.Nonce) < MinNonce || len(p.Nonce) > MaxNonce:
		return fmt.Errorf("the signature's nonce must have %d to %d characters", MinNonce, MaxNonce)
	case p.Created == 0 || p.Expires <= p.Created || p.Expires-p.Created > Window:
		return fmt.Errorf("the signature needs created and expires, at most %d seconds later", Window)
	case p.Alg != "" && p.Alg != Ed25519 && p.Alg != P256:
		return fmt.Errorf("the signature's alg is neither %q nor %q", Ed25519, P256)
	}
	return nil
}

// Digest gives the field Content-Digest of a body: its SHA-256 (RFC 9530, section 2).
func Digest(body []byte) string {
	h := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(h[:]) + ":"
}

// AuthorityOf gives the component @authority of a host, with or without a port, called by https (section 2.2.3).
func AuthorityOf(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":443") }

// QueryOf gives the component @query of a query without its question mark (section 2.2.7).
func QueryOf(query string) string { return "?" + query }
