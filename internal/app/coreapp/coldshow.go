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
func ColdOperators(show, to io.Writer, from io.Reader) offline.Operators {
	return coldOperators{show, to, from}
}

type coldOperators struct {
	show io.Writer
	to   io.Writer
	from io.Reader
}

// Review implements [offline.Operators].
func (c coldOperators) Review(_ context.Context, r offline.Review) ([]uint64, error) {
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
	return a.Permits, err
}

// Confirm implements [offline.Operators].
func (c coldOperators) Confirm(_ context.Context, x pure.Confirmation) ([]pure.Signature, error) {
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
	lines = append(lines, "")
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	return nil
}
