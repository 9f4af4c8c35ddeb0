// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"strongroom/internal/pure/tlog"
)

// AheadError says that a log witness knows more entries than this machine: the log was set back, or another writer goes on with it.
type AheadError struct {
	Local   uint64 // entries of the local pin
	Witness string
	Size    uint64 // entries that the witness cosigned
	Proven  bool   // the witness showed a checkpoint of that size, signed by the log's own key
}

// Error names both sizes.
func (e *AheadError) Error() string {
	how := "says that it cosigned"
	if e.Proven {
		how = "proves that this log had"
	}
	return fmt.Sprintf("log witness %s %s %d entries, but %d are here: the log was set back, or another core writes it; restore the missing entries and the pin, or see the runbook on log witnesses", e.Witness, how, e.Size, e.Local)
}

// ForkError says that a log witness refuses the root of a log: it cosigned another history.
type ForkError struct {
	Local   tlog.Checkpoint // what it was asked to cosign
	Witness string
	Known   uint64   // entries of what it cosigned before
	Root    [32]byte // of Known, where the witness showed it, else zero
	Proven  bool     // the log's own key signed that root
}

// Error names both histories.
func (e *ForkError) Error() string {
	s := fmt.Sprintf("log witness %s refuses the log of %d entries with root %x: it is not what follows the %d entries that it cosigned", e.Witness, e.Local.Size, e.Local.Root, e.Known)
	switch {
	case e.Proven:
		s += fmt.Sprintf(", whose root it proves to be %x", e.Root)
	case e.Root != [32]byte{}:
		s += fmt.Sprintf(", with root %x", e.Root)
	}
	return s + "; this log was forked: see the runbook on log witnesses"
}

// QuorumError says why no quorum can be had: too many witnesses refuse.
type QuorumError struct {
	Need, Of int
	Refused  []error // one for each witness that refuses and has shown its own cosignature against the log
}

// Error names each refusal.
func (e *QuorumError) Error() string {
	words := make([]string, len(e.Refused))
	for i, r := range e.Refused {
		words[i] = r.Error()
	}
	return fmt.Sprintf("no quorum of log witnesses (%d of %d) is left: %s", e.Need, e.Of, strings.Join(words, "; "))
}

// Unwrap gives the refusals.
func (e *QuorumError) Unwrap() []error { return e.Refused }

// target is what witnesses are asked to cosign.
type target struct {
	tlog.Checkpoint
	text   string // the note text
	signed []byte
}

// round is one question to all witnesses, and their answers.
type round struct {
	target
	names []string
	need  int
	done  chan struct{} // closed when the outcome is known
	all   chan struct{} // closed when every witness has cosigned or refused

	mu    sync.Mutex // guards the rest
	lines []string   // cosignatures by witness, empty until there
	no    []error    // refusals by witness
	last  []error    // by witness, why there is no answer yet
	err   error      // the outcome, once done is closed
}

func newRound(set tlog.Witnesses, t target) *round {
	n := set.Len()
	r := &round{target: t, need: set.Quorum(), done: make(chan struct{}), all: make(chan struct{}), lines: make([]string, n), no: make([]error, n), last: make([]error, n)}
	for _, w := range set.All() {
		r.names = append(r.names, w.Name)
	}
	return r
}

// wait waits for the outcome and gives the cosignatures, at least a quorum, in the order of the set.
func (r *round) wait(ctx context.Context) ([]byte, error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", r.state(), ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return []byte(strings.Join(r.lines, "")), r.err
}

// cosigned records a verified signature line.
func (r *round) cosigned(i int, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[i] = line
	r.settle()
}

// refused records that a witness will not cosign this, as its own signature shows.
func (r *round) refused(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.no[i] = err
	r.settle()
}

// unanswered records why there is no answer yet.
func (r *round) unanswered(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[i] = err
}

// settle finds out whether the outcome is known. The caller holds mu.
func (r *round) settle() {
	yes, no := 0, []error(nil)
	for i := range r.lines {
		switch {
		case r.lines[i] != "":
			yes++
		case r.no[i] != nil:
			no = append(no, r.no[i])
		}
	}
	switch {
	case yes >= r.need:
		r.end(nil)
	case len(no) > len(r.lines)-r.need:
		r.end(&QuorumError{Need: r.need, Of: len(r.lines), Refused: no})
	}
	if yes+len(no) == len(r.lines) {
		closeOnce(r.all)
	}
}

// fail ends the round with an error, unless it has ended.
func (r *round) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(err)
	closeOnce(r.all)
}

// end sets the outcome; the first one counts. The caller holds mu.
func (r *round) end(err error) {
	select {
	case <-r.done:
	default:
		r.err = err
		close(r.done)
	}
}

// closeOnce closes a channel that is closed under a lock only.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

var errNoAnswer = errors.New("has not answered yet")

// state says in words what is waited for; nothing once the outcome is known.
func (r *round) state() string {
	select {
	case <-r.done:
		return ""
	default:
	}
	return fmt.Sprintf("%d of %d log witnesses must cosign %d entries; missing are %s", r.need, len(r.names), r.Size, r.said())
}

// said lists what witnesses without a cosignature said, or why they did not.
func (r *round) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for i, name := range r.names {
		err := r.no[i]
		if r.lines[i] != "" {
			continue
		}
		if err == nil {
			err = r.last[i]
		}
		if err == nil {
			err = errNoAnswer
		}
		words = append(words, fmt.Sprintf("%s (%v)", name, err))
	}
	return strings.Join(words, ", ")
}
