// SPDX-License-Identifier: Apache-2.0

// Package witness is a log witness: it keeps the latest checkpoint of each log that it knows and cosigns the next one only if that extends it
// (C2SP tlog-witness). It never cosigns two roots for one size, nor a smaller size than before; what it cosigned is durable before a
// cosignature leaves. The protocol's rules are in pure/witness; keys, disk and HTTP are others' work.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"strongroom/internal/pure/tlog"
	"strongroom/internal/pure/witness"
)

// State is what a witness keeps of a log.
type State struct {
	witness.Record
	Cosigned []byte // the latest checkpoint with the log's signatures and ours, for those who monitor; nil if none was cosigned yet
}

// Store keeps states by origin. Save is durable when it returns nil; after an error it is not known which of the two states is held, and the
// store refuses that log until the process starts anew. One process uses it at a time. Methods are safe for concurrent use.
type Store interface {
	Load(ctx context.Context, origin string) (State, error) // the zero State for a log never saved
	Save(ctx context.Context, origin string, s State) error
}

// Config is what a witness needs. All fields but Told are required.
type Config struct {
	Key   tlog.WitnessKey
	Sign  func(message []byte) ([]byte, error) // Ed25519, 64 bytes, by the private half of Key; safe for concurrent use
	Logs  witness.Logs
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	Told  func(status int) // is told the status of each answer to a submission; may be nil; safe for concurrent use
}

// Witness answers submissions. Its methods are safe for concurrent use.
type Witness struct {
	cfg   Config
	turns map[string]*sync.Mutex // a log's origin → one submission at a time is judged, kept and cosigned
	stop  chan struct{}          // closed when the state can't be kept any more
	once  sync.Once              // guards stop
}

// New makes a witness.
func New(cfg Config) (*Witness, error) {
	if cfg.Key.IsZero() || cfg.Sign == nil || len(cfg.Logs) == 0 || cfg.Store == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("witness: key, signer, logs, store, clock and log are required")
	}
	w := &Witness{cfg: cfg, turns: map[string]*sync.Mutex{}, stop: make(chan struct{})}
	for origin := range cfg.Logs {
		w.turns[origin] = &sync.Mutex{}
	}
	return w, nil
}

// Failed is closed when a state could not be kept: the process must end.
func (w *Witness) Failed() <-chan struct{} { return w.stop }

// Answer is an answer to add-checkpoint as HTTP carries it.
type Answer struct {
	Status int
	Type   string // content type
	Body   []byte
}

// Add judges the body of an add-checkpoint request.
func (w *Witness) Add(ctx context.Context, body []byte) Answer {
	a := w.answer(ctx, body)
	if w.cfg.Told != nil {
		w.cfg.Told(a.Status)
	}
	return a
}

func (w *Witness) answer(ctx context.Context, body []byte) Answer {
	line, err := w.add(ctx, body)
	var no *witness.RefusedError
	switch {
	case err == nil:
		return Answer{witness.StatusCosigned, witness.TypeText, []byte(line)}
	case errors.As(err, &no) && no.Status == witness.StatusConflict:
		return Answer{no.Status, witness.TypeSize, witness.EncodeSize(no.Size)}
	case errors.As(err, &no):
		return Answer{no.Status, witness.TypeText, []byte(no.Reason + "\n")}
	default:
		w.cfg.Log.ErrorContext(ctx, "checkpoint not cosigned", slog.Any("error", err))
		return Answer{witness.StatusWitnessFailed, witness.TypeText, []byte("the witness failed on this request; its log says why\n")}
	}
}

func (w *Witness) add(ctx context.Context, body []byte) (string, error) {
	s, err := w.cfg.Logs.Admit(body)
	if err != nil {
		return "", err
	}
	turn := w.turns[s.Origin]
	turn.Lock()
	defer turn.Unlock()
	have, err := w.cfg.Store.Load(ctx, s.Origin)
	if err != nil {
		w.fail()
		return "", fmt.Errorf("read the state of %s: %w", s.Origin, err)
	}
	next, err := witness.Judge(have.Record, s)
	if err != nil {
		w.suspect(ctx, s, have.Record, err)
		return "", err
	}
	now := w.cfg.Now().Unix()
	if now <= 0 {
		return "", errors.New("the clock is before 1970")
	}
	line, err := tlog.Cosign(s.Text, uint64(now), w.cfg.Key, w.cfg.Sign)
	if err != nil {
		return "", err
	}
	if next == have.Record && have.Cosigned != nil {
		return line, nil // all that must last is kept already
	}
	cosigned, err := w.monitored(s, line)
	if err != nil {
		return "", err
	}
	if err := w.cfg.Store.Save(ctx, s.Origin, State{next, cosigned}); err != nil {
		w.fail()
		return "", fmt.Errorf("keep the state of %s: %w", s.Origin, err)
	}
	return line, nil
}

// monitored is what is shown to monitors: the log's text, the signatures of the log that were verified, and ours.
func (w *Witness) monitored(s witness.Submission, line string) ([]byte, error) {
	_, lines, _ := strings.Cut(string(s.Request.Checkpoint), "\n\n")
	out := s.Text + "\n"
	for l := range strings.Lines(lines) {
		if _, _, err := tlog.OpenExtended([]byte(s.Text+"\n"+l), w.cfg.Logs[s.Origin]...); err == nil {
			out += l
		}
	}
	return []byte(out + line), nil
}

// suspect says in the log that a trusted key signed what contradicts what was seen. A conflict is how a log asks for the size.
func (w *Witness) suspect(ctx context.Context, s witness.Submission, have witness.Record, err error) {
	var no *witness.RefusedError
	if errors.As(err, &no) && no.Status == witness.StatusInconsistent {
		w.cfg.Log.WarnContext(ctx, "a log's checkpoint is not consistent with the one before", slog.String("origin", s.Origin), slog.Uint64("size", s.Size),
			slog.Uint64("known", have.Size), slog.String("reason", no.Reason), slog.String("checkpoint", string(s.Request.Checkpoint)))
	}
}

func (w *Witness) fail() { w.once.Do(func() { close(w.stop) }) }

// Latest gives the latest cosigned checkpoint of a log, or nil: for a log that is not known, or of which nothing was cosigned.
func (w *Witness) Latest(ctx context.Context, origin string) ([]byte, error) {
	turn, ok := w.turns[origin]
	if !ok {
		return nil, nil
	}
	turn.Lock()
	defer turn.Unlock()
	s, err := w.cfg.Store.Load(ctx, origin)
	return s.Cosigned, err
}

// Origins lists the logs that the witness knows, in no order.
func (w *Witness) Origins() []string {
	out := make([]string, 0, len(w.turns))
	for o := range w.turns {
		out = append(out, o)
	}
	return out
}
