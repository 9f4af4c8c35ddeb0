// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// KindOf says by what evidence shows who asks. The evidence has one of its forms ([request.Evidence.Check]).
func KindOf(e request.Evidence) policy.EvidenceKind {
	switch {
	case e.Key == "":
		return policy.BySession
	case e.HTTP != nil:
		return policy.ByCall
	default:
		return policy.BySignature
	}
}

// Fresh refuses a signed call that is past its time. It is asked when a request is accepted; a retry gets what became of the first at any time.
func Fresh(e request.Evidence, at Moment) error {
	if e.HTTP == nil {
		return nil
	}
	s, err := httpsig.ParseBase(e.HTTP.Base)
	if err != nil {
		return problem.New(problem.Unauthenticated, "%v", err)
	}
	if Expired(s.Params.Expires, at.Time, at.Bound) {
		return problem.New(problem.Unauthenticated, "the signature of the call is past its time; sign the call anew, with the same idempotency key")
	}
	return nil
}

// checkCall checks the initiator's signature over a call of the REST API, and that the call asks for this request and nothing else. Host and time are not
// looked at: the body names authority and domain, and [Fresh] looks at the time.
func checkCall(key request.PublicKey, r *request.Parsed, e request.Evidence) error {
	refuse := func(format string, args ...any) error {
		return problem.New(problem.Unauthenticated, "signed call: "+format, args...)
	}
	s, err := httpsig.ParseBase(e.HTTP.Base)
	if err != nil {
		return refuse("%v", err)
	}
	if err := s.CheckProfile(httpsig.Components(true, true)); err != nil {
		return refuse("%v", err)
	}
	for _, want := range []httpsig.Component{{Name: httpsig.Method, Value: apiv1.SubmitMethod}, {Name: httpsig.Path, Value: apiv1.SubmitPath},
		{Name: httpsig.Query, Value: httpsig.QueryOf("")}, {Name: httpsig.ContentDigest, Value: httpsig.Digest(e.HTTP.Body)},
		{Name: httpsig.IdempotencyKey, Value: r.Key}} {
		if got, _ := s.Value(want.Name); got != want.Value {
			return refuse("component %q is %q; for this request it must be %q", want.Name, got, want.Value)
		}
	}
	if media, ok := s.Value(httpsig.ContentType); ok && media != apiv1.JSON {
		return refuse("its content type is %q, not %q", media, apiv1.JSON)
	}
	if s.Params.KeyID != string(e.Key) || !CallAlgorithm(key.Alg, s.Params.Alg) {
		return refuse("it names another key, or another algorithm than the key's")
	}
	asked, err := apiv1.ReadCall(e.HTTP.Body, r.Key)
	if err != nil {
		return refuse("%v", err)
	}
	if !bytes.Equal(asked.Encode(), r.Raw) {
		return refuse("its body asks for another request")
	}
	if !key.Verify(e.HTTP.Base, e.Sig) {
		return refuse("the initiator's signature does not verify")
	}
	return nil
}

// CallAlgorithm says whether a key of an algorithm may sign calls under the name that a signature gives, or none. Passkeys sign no calls.
func CallAlgorithm(key request.Algorithm, name string) bool {
	switch key {
	case request.Ed25519:
		return name == "" || name == httpsig.Ed25519
	case request.P256:
		return name == "" || name == httpsig.P256
	default:
		return false
	}
}
