// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// CheckPossession says whether a request that brings a new key shows that somebody holds it, and where the key is for a person who exists, that this
// person asks. Other requests pass. Whoever decides a request and whoever checks a proof of one calls it.
func CheckPossession(a custody.AuthorityID, r *request.Parsed) error {
	switch b := r.Decoded.(type) {
	case *request.PersonEnrolBody:
		if !b.Key.Verify(b.EnrolMessage(a), b.Possession) {
			return problem.New(problem.Unauthenticated, "the new key's proof of possession does not verify")
		}
	case *request.WhitelistAddBody:
		if err := r.CheckOwnership(b); err != nil {
			return problem.New(problem.Unauthenticated, "%v", err)
		}
	case *request.PersonKeyAddBody:
		if r.Initiator != b.Person {
			return problem.New(problem.Forbidden, "only %s can ask for a further key of %s; who has no key left is enrolled under a new id", b.Person, b.Person)
		}
		if !b.Key.Verify(b.Message(a), b.Possession) {
			return problem.New(problem.Unauthenticated, "the new key's proof of possession does not verify")
		}
	}
	return nil
}
