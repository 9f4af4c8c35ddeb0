// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"fmt"
	"io"
	"time"

	"strongroom/internal/app/coldtalk"
	"strongroom/internal/app/words"
	"strongroom/internal/core/offline"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/request"
)

// ColdOperators shows permits on show, and asks a program, through two pipes, which of them are wanted and for the operators' signatures
// (package coldtalk). Without the pipes nobody is there: permits wait.
func ColdOperators(show, to io.Writer, from io.Reader) ColdPeople {
	return ColdPeople{show, to, from}
}

// ColdPeople are the people at the machine of an offline domain: [offline.Operators] and [offline.Keepers].
type ColdPeople struct {
	show io.Writer
	to   io.Writer
	from io.Reader
}

// Review implements [offline.Operators].
func (c ColdPeople) Review(_ context.Context, r offline.Review) ([]uint64, error) {
	if err := showReview(c.show, r); err != nil {
		return nil, err
	}
	if c.to == nil || c.from == nil {
		return nil, offline.ErrUnattended
	}
	var q coldtalk.Question
	for _, it := range r.Items {
		q.Permits = append(q.Permits, it.Entry)
	}
	a, err := coldtalk.Ask(c.to, c.from, q)
	if err == nil && a.Nobody {
		return nil, offline.ErrUnattended
	}
	return a.Permits, err
}

// Reanchored implements [offline.Operators].
func (c ColdPeople) Reanchored(_ context.Context, r offline.Reanchoring) error {
	if err := show(c.show, reanchoring(r)); err != nil {
		return err
	}
	if c.to == nil || c.from == nil {
		return offline.ErrUnattended
	}
	a, err := coldtalk.Ask(c.to, c.from, coldtalk.Question{Incarnation: r.Incarnation()})
	switch {
	case err != nil:
		return err
	case a.Nobody:
		return offline.ErrUnattended
	case a.Agreed != r.Incarnation():
		return fmt.Errorf("the operators agreed to incarnation %d, not %d", a.Agreed, r.Incarnation())
	}
	return nil
}

// reanchoring says in plain words that the authority's log was re-anchored, by whom, and what that means here.
func reanchoring(r offline.Reanchoring) []string {
	lines := []string{fmt.Sprintf("THE AUTHORITY'S LOG WAS RE-ANCHORED. Offline domain %s (%s), bundle %d, authority %s.", words.Plain(r.Name), words.Groups(r.Domain[:8]), r.Number, words.Groups(r.Authority[:8]))}
	for _, x := range r.Entries {
		lines = append(lines, fmt.Sprintf("  entry %d, at %s: it goes on as incarnation %d", x.Entry, words.Time(time.Unix(0, x.Time)), x.Incarnation), "    because: "+words.Plain(x.Reason))
		for _, by := range x.By {
			line := "    signed by " + string(by.Person)
			if by.Removed {
				line += ", WHO IS NOBODY, or has another key, by what this machine knew last"
			}
			lines = append(lines, line)
		}
		if x.Whole {
			lines = append(lines, "    log witnesses had confirmed that nothing was lost")
		}
	}
	if r.Kept == r.Had {
		return append(lines, fmt.Sprintf("  Nothing is lost of the %d entries that this machine had imported.", r.Had), "")
	}
	lines = append(lines, fmt.Sprintf("  LOST are the entries %d to %d, which this machine had imported: %d.", r.Kept, r.Had-1, r.Had-r.Kept))
	if r.Gone {
		lines = append(lines, "  These are not on this machine any more: whether those who signed were revoked in them, or had other keys, nothing here knows.")
	}
	for _, p := range r.Permits {
		slot := fmt.Sprintf("%d inputs", p.Inputs)
		if p.Account != "" {
			slot = fmt.Sprintf("nonce %d of %s", p.Nonce, words.Plain(p.Account))
		}
		line := fmt.Sprintf("  permit %d, wallet %q, %s: ", p.Entry, p.Wallet, slot)
		if p.TxID == "" {
			lines = append(lines, line+"it was confirmed here and is not signed yet")
			continue
		}
		lines = append(lines, line+"SIGNED here, transaction "+words.Plain(p.TxID))
	}
	if len(r.Permits) > 0 {
		lines = append(lines, "  What was signed stays signed: its slots are used, and nothing else is ever signed for them here.")
	}
	for _, w := range r.Came {
		lines = append(lines, fmt.Sprintf("  wallet %q came by a lost entry: its seed stays here; the online domain does not know that", w))
	}
	for _, w := range r.Left {
		lines = append(lines, fmt.Sprintf("  wallet %q left by a lost entry: its seed is not here any more; the online domain may not know that", w))
	}
	return append(lines, "  Agree only if you know from somebody else than the courier that this was done, and why.", "")
}

// Confirm implements [offline.Operators].
func (c ColdPeople) Confirm(_ context.Context, x pure.Confirmation) ([]pure.Signature, error) {
	a, err := coldtalk.Ask(c.to, c.from, coldtalk.Question{Statement: x.Encode()})
	return a.Signatures, err
}

// showReview writes what the operators are to confirm, as the core itself has decoded and decided it.
func showReview(w io.Writer, r offline.Review) error {
	lines := []string{fmt.Sprintf("Offline domain %s (%s), bundle %d.", words.Plain(r.Name), words.Groups(r.Domain[:8]), r.Number),
		fmt.Sprintf("By this machine's clock it is %s, give or take %s; the bundle is of %s.", words.Time(time.Unix(0, r.Now.Time)), time.Duration(r.Now.Bound).Round(time.Millisecond), words.Unix(r.Checkpoint)),
		fmt.Sprintf("%d to be signed:", len(r.Items))}
	for _, it := range r.Items {
		lines = append(lines, "", fmt.Sprintf("%d  request %s", it.Entry, it.Request))
		for _, l := range words.Effects(it.Effects, request.Bounds{FeeCap: it.Fee}) {
			lines = append(lines, "    "+l)
		}
		if it.Attempt > 1 {
			lines = append(lines, fmt.Sprintf("    replaces %d earlier attempts in the same slot", it.Attempt-1))
		}
		lines = append(lines, fmt.Sprintf("    asked by %s, approved by %d people", it.Initiator, len(it.Approvers)))
		for _, p := range it.Approvers {
			lines = append(lines, "      "+string(p))
		}
	}
	return show(w, append(lines, ""))
}

func show(w io.Writer, lines []string) error {
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	return nil
}
