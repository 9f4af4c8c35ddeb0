// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
)

// keyBlock is the PEM block of a signer's key: PKCS #8, as other tools write Ed25519 keys.
const keyBlock = "PRIVATE KEY"

type feedKeygen struct {
	File string `arg:"" help:"File to write; it is not protected by a passphrase, because a feed runs unattended: keep it on the machine of the feed."`
}

// Run makes a key.
func (c *feedKeygen) Run(e *env) error {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	defer clear(key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	defer clear(text)
	if err := e.create(c.File, text, 0o600); err != nil {
		return err
	}
	out := map[string]string{"pub": hex.EncodeToString(pub)}
	return e.show(out, func() error { return e.pairs([]pair{{"pub", out["pub"]}}) })
}

// feedKey reads a signer's key.
func (e *env) feedKey(path string) (ed25519.PrivateKey, error) {
	b, err := e.readInput(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, rest := pem.Decode(b)
	if block == nil || block.Type != keyBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, hint(fmt.Errorf("%s is no key of a signer", path), "'strongroom price keygen' and 'strongroom screening keygen' make one")
	}
	defer clear(block.Bytes)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, hint(fmt.Errorf("%s has no Ed25519 key", path), "'strongroom price keygen' and 'strongroom screening keygen' make one")
	}
	return key, nil
}

// signing says who signs what a source says, and for which domain.
type signing struct {
	File   string `name:"signer-key" required:"" placeholder:"FILE" help:"Key of the signer, of 'keygen'."`
	Signer string `required:"" placeholder:"ID" help:"Id of the signer in the source."`
	Source string `required:"" placeholder:"ID" help:"Id of the source in the rule document."`
}

// speaker signs what a source says.
type speaker struct {
	signing
	key       ed25519.PrivateKey
	authority custody.AuthorityID
}

func (s signing) open(e *env) (*speaker, error) {
	d, err := e.domain()
	if err != nil {
		return nil, err
	}
	a, _, err := d.ids()
	if err != nil {
		return nil, err
	}
	key, err := e.feedKey(s.File)
	return &speaker{s, key, a}, err
}

// handingIn says what is handed in.
type handingIn struct {
	File string `arg:"" optional:"" default:"-" help:"What was signed, one a line; default: standard input."`
}

// submitSaid hands in signed statements of a file.
func submitSaid[T any](e *env, file, what string, most int, decode func([]byte) (T, error), submit func(*client.Client, context.Context, []T) (client.StatementsTaken, error)) error {
	b, err := e.readInput(file)
	if err != nil {
		return err
	}
	var list []T
	for i, line := range strings.Fields(string(b)) {
		raw, err := hex.DecodeString(line)
		if err != nil {
			return usage("%s %d is not in hex, as it was printed when it was signed", what, i+1)
		}
		x, err := decode(raw)
		if err != nil {
			return usage("%s %d: %w", what, i+1, err)
		}
		list = append(list, x)
	}
	switch n := len(list); {
	case n == 0:
		return usage("there is no %s to hand in: nothing was read", what)
	case n > most:
		return usage("%d of %s are too many; want %d at most", n, what, most)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	t, err := submit(cl, e.ctx, list)
	if err != nil {
		return err
	}
	if err := e.show(t, func() error { return e.pairs(takenPairs(what, t)) }); err != nil {
		return err
	}
	if len(t.Refused) > 0 && t.Taken+t.Same == 0 {
		return &hinted{err: fmt.Errorf("no %s was taken: %s", what, words.Plain(t.Refused[0].Detail)), code: exitOf(t.Refused[0].Kind)}
	}
	return nil
}

func takenPairs(what string, t client.StatementsTaken) []pair {
	out := []pair{{"taken", fmt.Sprint(t.Taken)}, {"same as before", fmt.Sprint(t.Same)}}
	if t.Entry > 0 {
		out = append(out, pair{"entry", fmt.Sprint(t.Entry)})
	}
	for _, r := range t.Refused {
		out = append(out, pair{fmt.Sprintf("%s %d refused", what, r.Place+1), words.Plain(r.Detail)})
	}
	return out
}

// feeding says how often a feed signs.
type feeding struct {
	Every time.Duration `default:"30s" placeholder:"DURATION" help:"How often; 1s at least, default 30s."`
	Stale time.Duration `default:"10m" placeholder:"DURATION" help:"Sign nothing while the file was not written for so long: what is old must not look new. Default: 10m."`
	Once  bool          `help:"Sign and hand in once, and end."`
}

// feed signs and hands in again and again, until it is told to stop. A round that fails is told, once if it is for the same reason
// as the one before, and the next one tries again.
func (f feeding) feed(e *env, s signing, what string, round func(*speaker, *client.Client) (client.StatementsTaken, error)) error {
	if f.Every < time.Second {
		return usage("--every %s: want 1s at least", f.Every)
	}
	by, err := s.open(e)
	if err != nil {
		return err
	}
	defer clear(by.key)
	cl, err := e.client()
	if err != nil {
		return err
	}
	next := time.NewTicker(f.Every)
	defer next.Stop()
	for trouble := ""; ; {
		t, err := round(by, cl)
		for _, r := range t.Refused {
			e.say("strongroom: %s feed: %s %d refused: %s", what, what, r.Place+1, words.Plain(r.Detail))
		}
		switch {
		case f.Once && err == nil && t.Taken+t.Same == 0:
			return fmt.Errorf("no %s was taken", what)
		case f.Once:
			return err
		case e.ctx.Err() == nil:
			var news string
			if trouble, news = f.news(trouble, err); news != "" {
				e.say("strongroom: %s feed: %s", what, news)
			}
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-next.C:
		}
	}
}

// news gives why a round failed, empty if it did not, and what to say of that after one that failed for was: nothing if it is the same.
func (f feeding) news(was string, err error) (now, say string) {
	if err != nil {
		now = words.Plain(err.Error())
	}
	switch {
	case now == was:
		return now, ""
	case now == "":
		return "", "goes on"
	default:
		return now, fmt.Sprintf("%s; trying again every %s", now, f.Every)
	}
}

// readFeed reads the lines of a CSV file that was written lately.
func readFeed(path string, stale time.Duration, line func(row []string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if time.Since(info.ModTime()) > stale {
		return fmt.Errorf("%s was written at %s, more than %s ago (--stale); nothing is signed from it", path, words.Time(info.ModTime()), stale)
	}
	r := csv.NewReader(io.LimitReader(f, 1<<20))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = line(row)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}
