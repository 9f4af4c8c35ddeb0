// SPDX-License-Identifier: Apache-2.0

// Package witnessapp is `strongroom witness`: a log witness, which anybody runs for domains of others. It cosigns a log's checkpoint only if
// the log grew from what was cosigned before (C2SP tlog-witness), so that a domain can't forget what it has shown. It knows nothing of what
// the logs hold.
//
// It refuses a key file that others can read, a state folder that another witness uses, and a public file that is not of its key. Formats:
// docs/spec/witness.md.
package witnessapp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"strongroom/internal/app/together"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/edge/counts"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/edge/witnesshttp"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
	"strongroom/internal/secret"
	"strongroom/internal/svc/witness"
)

// VKeySuffix is what is appended to the name of a key file for that of its public file, which holds the vkey on a line.
const VKeySuffix = ".vkey"

// maxLogs is the longest list of logs, in bytes.
const maxLogs = 1 << 20

// Init makes a witness key under a name and writes it to path, sealed with a passphrase, or plain where pass is the zero value and plain is
// set; beside it lies the public file. It gives the vkey, which operators of logs are told.
func Init(arena *secret.Arena, path, name string, pass secret.Bytes, plain bool) (string, error) {
	// The file's format wants an owner; a witness is nobody's person, so it gets an id of its own.
	k, err := keyfile.New(arena, keyfile.NewPersonID(), request.Ed25519)
	if err != nil {
		return "", err
	}
	defer k.Wipe()
	w, err := tlog.NewWitnessKey(name, k.Public().Pub)
	if err != nil {
		return "", err
	}
	if plain {
		err = k.WritePlainUnsafe(path)
	} else {
		err = k.Write(path, pass)
	}
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path+VKeySuffix, []byte(w.String()+"\n"), 0o644); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return w.String(), nil
}

// ReadVKey reads the public file beside a key file.
func ReadVKey(path string) (tlog.WitnessKey, error) {
	b, err := os.ReadFile(path + VKeySuffix)
	if err != nil {
		return tlog.WitnessKey{}, fmt.Errorf("public file of the witness key: %w", err)
	}
	k, err := tlog.ParseWitnessKey(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return k, fmt.Errorf("%s%s: %w", path, VKeySuffix, err)
	}
	return k, nil
}

// openKey opens a key file and its public file, which must belong together.
func openKey(arena *secret.Arena, path string, ask func() (secret.Bytes, error)) (*keyfile.Key, tlog.WitnessKey, error) {
	public, err := ReadVKey(path)
	if err != nil {
		return nil, public, err
	}
	k, err := keyfile.Open(arena, path, ask)
	if err != nil {
		return nil, public, err
	}
	if k.Public().Alg != request.Ed25519 || !bytes.Equal(k.Public().Pub, public.Public()) {
		k.Wipe()
		return nil, public, fmt.Errorf("%s%s is not the public file of that key", path, VKeySuffix)
	}
	return k, public, nil
}

// ReadLogs reads the list of accepted logs: docs/spec/witness.md.
func ReadLogs(path string) (protocol.Logs, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("list of logs: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxLogs+1))
	if err != nil {
		return nil, fmt.Errorf("list of logs: %w", err)
	}
	if len(b) > maxLogs {
		return nil, fmt.Errorf("list of logs %s: more than %d bytes", path, maxLogs)
	}
	logs, err := protocol.ParseLogs(string(b))
	if err != nil {
		return nil, fmt.Errorf("list of logs %s: %w", path, err)
	}
	return logs, nil
}

// Options say how to run a witness. All but TLS and Metrics are required.
type Options struct {
	Arena      *secret.Arena
	Key        string // file of the key; its public file lies beside it
	Passphrase func() (secret.Bytes, error)
	State      string // folder of what it remembers; made with mode 0700
	Logs       string // file with the accepted logs
	Listen     string // host:port
	TLSDir     string // folder of a certificate authority of its own, as serve has one; empty: HTTP in clear
	TLSNames   []string
	Metrics    string // host:port on loopback of /metrics; empty: none
	Now        func() time.Time
	Log        *slog.Logger
	Ready      func(url string) // called once it listens
}

// Run runs a witness until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Arena == nil || o.Key == "" || o.Passphrase == nil || o.State == "" || o.Logs == "" || o.Listen == "" || o.Now == nil || o.Log == nil {
		return errors.New("witness: key, state folder, list of logs and address are required")
	}
	logs, err := ReadLogs(o.Logs)
	if err != nil {
		return err
	}
	key, public, err := openKey(o.Arena, o.Key, o.Passphrase)
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return fmt.Errorf("witness state: %w", err)
	}
	dir, err := disk.OS(o.State, disk.Options{})
	if err != nil {
		return err
	}
	state, err := OpenState(dir)
	if err != nil {
		return err
	}
	seen, err := newCounts(o.Now)
	if err != nil {
		return errors.Join(err, state.Close())
	}
	w, err := witness.New(witness.Config{Key: public, Sign: key.Sign, Logs: logs, Store: state, Now: o.Now, Log: o.Log, Told: func(status int) { seen.Done(outcome(status)) }})
	if err == nil {
		err = serve(ctx, o, w, public, seen)
	}
	return errors.Join(err, state.Close())
}

func serve(ctx context.Context, o Options, w *witness.Witness, public tlog.WitnessKey, seen *counts.Counts) error {
	for _, origin := range w.Origins() { // a state that can't be read is found out now
		if _, err := w.Latest(ctx, origin); err != nil {
			return err
		}
	}
	var conf *tls.Config
	scheme := "http"
	if o.TLSDir != "" {
		ca, err := tlsca.Open(tlsca.Config{Dir: o.TLSDir, Names: o.TLSNames, Now: o.Now})
		if err != nil {
			return err
		}
		conf, scheme = ca.ServerTLS(), "https"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	work, err := seen.Beside(ctx, o.Metrics, o.Log)
	if err != nil {
		return errors.Join(fmt.Errorf("witness: %w", err), l.Close())
	}
	o.Log.InfoContext(ctx, "log witness is open", slog.String("address", l.Addr().String()), slog.String("vkey", public.String()), slog.Int("logs", len(w.Origins())))
	if o.Ready != nil {
		o.Ready(scheme + "://" + l.Addr().String())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with ctx
		select {
		case <-w.Failed():
			cancel(errors.New("the witness can't keep its state: it must not cosign; look at the disk, then start it again"))
		case <-ctx.Done():
		}
	}()
	err = together.Run(ctx, append(work, func(ctx context.Context) error { return witnesshttp.Serve(ctx, l, w, conf, o.Log) }))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// newCounts counts what a witness answers to submissions: cosigned; behind, where who asks does not know what was cosigned last, and asks again; inconsistent, where
// the log did not only grow; refused, for any other fault of who asks; and failed, for one of ours.
func newCounts(now func() time.Time) (*counts.Counts, error) {
	return counts.New("witness", now, "cosigned", "behind", "inconsistent", "refused", "failed")
}

func outcome(status int) string {
	switch status {
	case protocol.StatusCosigned:
		return "cosigned"
	case protocol.StatusConflict:
		return "behind"
	case protocol.StatusInconsistent:
		return "inconsistent"
	case protocol.StatusWitnessFailed:
		return "failed"
	default:
		return "refused"
	}
}

// Known is what a witness remembers of a log.
type Known struct {
	Origin   string `json:"origin"`
	Size     uint64 `json:"size"`
	Root     string `json:"root"` // base64; empty where nothing was cosigned
	Cosigned bool   `json:"cosigned"`
}

// Show reads what a witness that does not run remembers of the logs in a list.
func Show(ctx context.Context, state, logs string) ([]Known, error) {
	list, err := ReadLogs(logs)
	if err != nil {
		return nil, err
	}
	dir, err := disk.OS(state, disk.Options{})
	if err != nil {
		return nil, err
	}
	s, err := OpenState(dir)
	if err != nil {
		return nil, err
	}
	var out []Known
	for origin := range list {
		st, err := s.Load(ctx, origin)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		k := Known{Origin: origin, Size: st.Size, Cosigned: st.Cosigned != nil}
		if k.Cosigned {
			k.Root = strings.Split(string(st.Cosigned), "\n")[2]
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Known) int { return strings.Compare(a.Origin, b.Origin) })
	return out, s.Close()
}
