// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/testimony"
)

// SourceAhead is how far the time of a signed statement may be ahead of the log's, in seconds: its signer has another clock.
const SourceAhead = 5

// statement is what is alike in whatever signers of sources say.
type statement struct {
	what      string // "quote" or "verdict"
	authority custody.AuthorityID
	source    string
	asOf      int64 // Unix seconds
	ends      int64 // counts no more then, Unix seconds
	signer    string
	known     bool // the source has such a signer
}

// TakesStatements says whether the domain takes quotes and verdicts at all.
func (s *State) TakesStatements() error { return s.alive("") }

// fits says whether a statement of a source of the rule document may be taken at a moment, but for its signature: it is of a signer, made for this authority, not
// too old and not of a time to come. last gives the signer's last one on the same thing: its time and entry.
func (s *State) fits(x statement, at Moment, last func() (asOf int64, seq uint64, ok bool)) error {
	switch {
	case x.authority != s.Authority:
		return problem.New(problem.Forbidden, "the %s is for authority %s; this is %s", x.what, x.authority, s.Authority)
	case x.asOf*1e9 > at.Time+at.Bound+SourceAhead*1e9:
		return problem.New(problem.Malformed, "the %s is of a time to come: %d is past %d by more than %d seconds", x.what, x.asOf, at.Time/1e9, SourceAhead)
	case Expired(x.ends, at.Time, at.Bound):
		return problem.New(problem.Expired, "the %s has ended, or is older than source %s allows", x.what, x.source)
	case !x.known:
		return problem.New(problem.Forbidden, "%s is no signer of source %q", x.signer, x.source)
	}
	if asOf, seq, ok := last(); ok && x.asOf <= asOf {
		return problem.New(problem.AlreadyDone, "entry %d has a %s of %s of the same time or later", seq, x.what, x.signer)
	}
	return nil
}

// signedBy is a document's source with signers.
type signedBy interface {
	Signer(id string) ([]byte, bool)
}

// verifySaid says whether a statement is signed by who it says.
func verifySaid[S testimony.Statement](what, id string, src signedBy, known bool, x testimony.Signed[S]) error {
	if !known {
		return problem.New(problem.Unauthenticated, "source %q of this %s is not in the rule document", id, what)
	}
	pub, ok := src.Signer(x.Signer)
	if !ok {
		return problem.New(problem.Unauthenticated, "source %q of the rule document has no signer %q for this %s", id, x.Signer, what)
	}
	if x.Verify(pub) {
		return nil
	}
	return problem.New(problem.Unauthenticated, "the signature is not that of a signer %q of source %q over this %s", x.Signer, id, what)
}

// sameSigner says whether a signer has the same key in two sources.
func sameSigner(was, is signedBy, id string) bool {
	a, _ := was.Signer(id)
	b, ok := is.Signer(id)
	return ok && slices.Equal(a, b)
}

// hearAnew forgets what a new rule document does not take any more of what sources said.
func (s *State) hearAnew(old policy.Document, l entry.Leaf) {
	s.requote(old)
	s.rescreen(old, l)
}
