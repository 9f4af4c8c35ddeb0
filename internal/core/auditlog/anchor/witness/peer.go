// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
)

// attemptTime is how long a witness has for one answer.
const attemptTime = 5 * time.Second

// attempts is how often a witness may correct us about its size before that counts as no answer.
const attempts = 4

// peer is one witness. Its goroutine asks for one thing at a time, always the newest.
type peer struct {
	tlog.Witness
	anchor *Anchor
	index  int
	want   atomic.Pointer[round]
	wake   chan struct{} // room for one: want is new

	// What follows belongs to run.
	known bool   // size is what the witness said or cosigned last
	size  uint64 // entries that it knows
	told  string // what of it was logged last
}

// outcome is how asking went.
type outcome int

const (
	silent  outcome = iota // no answer that says anything
	refusal                // the witness will not cosign this
	done
)

// run asks until the anchor is closed. After a refusal it pauses too: a witness that lies is not asked, and spoken of, at each pin.
func (p *peer) run() {
	var last *round
	pause := p.anchor.cfg.Retry
	for {
		select {
		case <-p.wake:
		case <-p.anchor.ctx.Done():
			return
		}
		for {
			r := p.want.Load()
			if r == last {
				break
			}
			how := p.serve(r)
			if how != silent {
				last = r
			}
			if how == done {
				pause = p.anchor.cfg.Retry
				continue
			}
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-p.anchor.ctx.Done():
				t.Stop()
				return
			}
			pause = min(2*pause, 16*p.anchor.cfg.Retry)
		}
	}
}

// serve asks once and records the answer.
func (p *peer) serve(r *round) outcome {
	line, err := p.cosign(r.target)
	var ahead *AheadError
	var fork *ForkError
	switch {
	case err == nil:
		r.cosigned(p.index, line)
		return done
	case errors.As(err, &ahead), errors.As(err, &fork):
		shown, proven := p.evidence(r.target)
		if shown == nil { // serve could have said it
			p.known = false
			err = fmt.Errorf("%w; it shows nothing signed for that, so it counts as no answer", err)
			p.warn(err)
			r.unanswered(p.index, err)
			return silent
		}
		p.warn(shown)
		if proven {
			p.anchor.kill(shown)
		}
		r.refused(p.index, shown)
		return refusal
	default:
		r.unanswered(p.index, err)
		return silent
	}
}

// warn logs what a witness has against the log, once for as long as it is the same.
func (p *peer) warn(err error) {
	if s := err.Error(); s != p.told {
		p.told = s
		p.anchor.cfg.Log.Warn("a log witness refuses the log", slog.String("witness", p.Name), slog.Any("error", err))
	}
}

// cosign asks for a cosignature, and brings the witness up to date where it is behind. Errors other than refusals mean that there is no answer.
func (p *peer) cosign(t target) (string, error) {
	if !p.known {
		p.size = t.Size // the likeliest; the witness says if not
	}
	for range attempts {
		if p.size > t.Size {
			p.known = false // asked anew next time: it was only its word
			return "", &AheadError{Local: t.Size, Witness: p.Name, Size: p.size}
		}
		line, err := p.attempt(t)
		if !errors.Is(err, errConflict) {
			return line, err
		}
	}
	p.known = false
	return "", errors.New("it says another size each time")
}

// errConflict says that the witness named the size that it knows, which is in peer.size now.
var errConflict = errors.New("the witness knows another size")

// attempt sends one request.
func (p *peer) attempt(t target) (string, error) {
	ctx, cancel := context.WithTimeout(p.anchor.ctx, attemptTime)
	defer cancel()
	req := protocol.Request{Old: p.size, Checkpoint: t.signed}
	if p.size > 0 && p.size < t.Size {
		var err error
		if req.Proof, err = p.anchor.bound.Load().Prove(ctx, p.size, t.Size, t.Root); err != nil {
			return "", fmt.Errorf("it knows %d entries, and no proof from there could be made: %w", p.size, err)
		}
	}
	status, body, err := p.anchor.cfg.Relay.Exchange(ctx, relay.Witness, p.Name, req.Encode())
	if err != nil {
		return "", err
	}
	switch status {
	case protocol.StatusCosigned:
		line, _, err := tlog.FindCosignature(body, t.text, p.Key)
		if err == nil {
			p.known, p.size = true, t.Size
		}
		return line, err
	case protocol.StatusConflict:
		n, err := protocol.ParseSize(body)
		if err != nil {
			return "", err
		}
		if n == p.size {
			return "", errors.New("it contradicts itself about its size")
		}
		p.known, p.size = true, n
		return "", errConflict
	case protocol.StatusInconsistent:
		return "", &ForkError{Local: t.Checkpoint, Witness: p.Name, Known: p.size}
	case protocol.StatusUnknownLog:
		return "", errors.New("it does not know this log; its operator must accept the log's verifier key")
	case protocol.StatusUnsigned:
		return "", errors.New("it accepts another key of this log")
	default:
		return "", fmt.Errorf("it answers with status %d", status)
	}
}

// evidence asks a witness that refuses t for the checkpoint that it has cosigned, and gives what that says against t, if anything. proven: our
// log's own key signed it, which is proof, whoever brings it. Else the witness's cosignature is on it: then it is that witness's refusal, and
// nobody else's. What bears neither signature says nothing: serve carries the answers, and could have written it.
func (p *peer) evidence(t target) (against error, proven bool) {
	ctx, cancel := context.WithTimeout(p.anchor.ctx, attemptTime)
	defer cancel()
	status, body, err := p.anchor.cfg.Relay.Exchange(ctx, relay.WitnessLatest, p.Name, []byte(t.Origin))
	if err != nil || status != protocol.StatusCosigned {
		return nil, false
	}
	b := p.anchor.bound.Load()
	c, _, err := tlog.OpenExtended(body, append([]tlog.Key{b.Key}, b.Keys...)...)
	if proven = err == nil; !proven {
		if c, err = p.cosignedBy(body); err != nil {
			return nil, false
		}
	}
	switch {
	case c.Origin != t.Origin:
		return nil, false
	case c.Size > t.Size:
		return &AheadError{Local: t.Size, Witness: p.Name, Size: c.Size, Proven: proven}, proven
	case c.Size > 0 && p.another(ctx, c, t):
		return &ForkError{Local: t.Checkpoint, Witness: p.Name, Known: c.Size, Root: c.Root, Proven: proven}, proven
	default:
		return nil, false
	}
}

// cosignedBy reads a checkpoint that the witness cosigned, whoever else signed it.
func (p *peer) cosignedBy(signed []byte) (tlog.Checkpoint, error) {
	text, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	c, _, err := tlog.ParseExtended(string(text) + "\n")
	if err == nil {
		_, _, err = tlog.FindCosignature(lines, string(text)+"\n", p.Key)
	}
	return c, err
}

// another says whether c, of no more entries than t, is surely of another history.
func (p *peer) another(ctx context.Context, c tlog.Checkpoint, t target) bool {
	if c.Size == t.Size {
		return c.Root != t.Root
	}
	proof, err := p.anchor.bound.Load().Prove(ctx, c.Size, t.Size, t.Root) // holds for our own root of c.Size
	return err == nil && tlog.VerifyConsistency(proof, c.Size, t.Size, c.Root, t.Root) != nil
}
