// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
)

// Survey is what the log witnesses say of a log that is to be re-anchored.
type Survey struct {
	Heard     []Heard // by witness, in the order of the set
	Confirmed []byte  // the head with a fresh extension line, signed by the log and cosigned by a quorum; empty without one
}

// Heard is what one witness said. Nothing of it is believed but what is signed.
type Heard struct {
	Name     string
	Latest   []byte // the signed checkpoint that it gave as its latest, unverified; empty: none
	Cosigned bool   // it freshly cosigned the head
	Said     string // else: why not, in words
}

// Ask asks each witness for its latest checkpoint of the log, and to cosign a head of it freshly, and waits for the answers as long as patience allows. It is
// used once, on an anchor of its own that nothing is pinned on.
func (a *Anchor) Ask(ctx context.Context, head tlog.Checkpoint, patience time.Duration) (Survey, error) {
	b := a.bound.Load()
	if b == nil {
		return Survey{}, errors.New("ask log witnesses: the anchor does not know its log yet")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out := Survey{Heard: make([]Heard, len(a.peers))}
	var wg sync.WaitGroup
	for i, p := range a.peers {
		wg.Go(func() { out.Heard[i] = Heard{Name: p.Name, Latest: p.latest(ctx, head.Origin)} })
	}
	r, err := a.challenge(b, head)
	if err != nil {
		cancel()
		wg.Wait()
		return Survey{}, err
	}
	select {
	case <-r.all:
	case <-ctx.Done():
	}
	wg.Wait()
	r.report(&out)
	return out, nil
}

// challenge asks for a fresh cosignature of a head.
func (a *Anchor) challenge(b *auditlog.Binding, c tlog.Checkpoint) (*round, error) {
	var nonce [32]byte
	rand.Read(nonce[:])
	signed, err := tlog.SignCheckpoint(c, b.Key, b.Sign, challengePrefix+base64.StdEncoding.EncodeToString(nonce[:]))
	if err != nil {
		return nil, err
	}
	return a.ask(c, signed), nil
}

// report says who cosigned, and has the checkpoint with the lines of those who did, if they are a quorum.
func (r *round) report(out *Survey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for i := range out.Heard {
		h := &out.Heard[i]
		if h.Cosigned = r.lines[i] != ""; h.Cosigned {
			n++
			continue
		}
		err := r.no[i]
		if err == nil {
			err = r.last[i]
		}
		if err == nil {
			err = errNoAnswer
		}
		h.Said = err.Error()
	}
	if n >= r.need {
		out.Confirmed = append(bytes.Clone(r.signed), strings.Join(r.lines, "")...)
	}
}

// latest asks for the checkpoint that the witness cosigned last, until it says something.
func (p *peer) latest(ctx context.Context, origin string) []byte {
	for {
		once, cancel := context.WithTimeout(ctx, attemptTime)
		status, body, err := p.anchor.cfg.Relay.Exchange(once, relay.WitnessLatest, p.Name, []byte(origin))
		cancel()
		switch {
		case err == nil && status == protocol.StatusCosigned:
			return body
		case err == nil && status == protocol.StatusUnknownLog:
			return nil // it knows no checkpoint
		}
		t := time.NewTimer(p.anchor.cfg.Retry)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}
