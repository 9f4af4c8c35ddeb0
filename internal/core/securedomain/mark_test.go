// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/tpm"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// marks is an anchor that marks, and remembers what. It is safe for concurrent use.
type marks struct {
	auditlog.Anchor

	mu   sync.Mutex
	seen []auditlog.Occasion
	used bool  // the day's marks are used up
	err  error // of the next mark
}

func (m *marks) Mark(_ context.Context, why auditlog.Occasion) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return false, m.err
	}
	if !m.used {
		m.seen = append(m.seen, why)
	}
	return !m.used, nil
}

func (m *marks) anchored(c securedomain.Config, _ disk.Dir) (auditlog.Anchor, func() error, error) {
	m.Anchor = c.Anchor
	return m, func() error { return nil }, nil
}

func (m *marks) want(t *testing.T, want ...auditlog.Occasion) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.seen, want) {
		t.Errorf("marks %q, want %q", m.seen, want)
	}
	m.seen = nil
}

func TestMarks(t *testing.T) {
	t.Parallel()
	m := &marks{}
	h := domaintest.New(t, domaintest.Options{Anchored: m.anchored})
	m.want(t, auditlog.MarkStart)
	h.Wallet("cold", domaintest.Chain, request.SchemeEVM)
	m.want(t)
	newRules(t, h, func(d *policy.Document) {})
	m.want(t, auditlog.MarkDocument)
	h.Reopen()
	m.want(t, auditlog.MarkStop, auditlog.MarkStart)
	h.Options.TakeOver = true
	h.Reopen()
	m.want(t, auditlog.MarkStop, auditlog.MarkWriter)
	m.used = true
	newRules(t, h, func(d *policy.Document) {}) // goes on without
	m.used, m.err = false, errors.New("the TPM is gone")
	doc, err := policy.DecodeDocument(h.D.Policy().Document)
	if err != nil {
		t.Fatal(err)
	}
	doc.PrevHash, doc.Version = doc.Hash(), doc.Version+1
	v := submitted(t, h, h.Alice, h.Request(h.Alice, request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()}))
	if _, err := h.Decide(h.Bob, v, request.Approve); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Decide(h.Carol, v, request.Approve); problem.KindOf(err) != problem.Stopped {
		t.Errorf("a mark that fails: got error %v", err)
	}
	<-h.D.Failed()
	h.Close()
	m.want(t) // a domain that failed marks no clean stop
	if err := h.Open(); err == nil {
		t.Error("started without a mark")
	}
	m.err = nil
	h.Close()
	h.Reopen()
	if got := h.D.Policy().Document; string(got) != string(doc.Encode()) {
		t.Error("the change of rules was lost")
	}
}

// TestDiskSetBackUnderATPM puts back the whole disk of a domain, pin and root included.
func TestDiskSetBackUnderATPM(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	anchored := func(c securedomain.Config, dir disk.Dir) (auditlog.Anchor, func() error, error) {
		d, err := tpm2.OpenDevice(x.Socket)
		if err != nil {
			return nil, nil, err
		}
		a, err := tpm.Create(t.Context(), tpm.Config{Inner: c.Anchor, Root: c.Root, Device: d, Arena: c.Arena, Dir: dir, Clock: c.Clock})
		if err != nil {
			return nil, nil, errors.Join(err, d.Close())
		}
		return a, func() error { return errors.Join(a.Close(), d.Close()) }, nil
	}
	h := domaintest.New(t, domaintest.Options{Anchored: anchored})
	newRules(t, h, func(d *policy.Document) {})
	h.Close()
	saved := filepath.Join(t.TempDir(), "saved")
	copyTree(t, saved, h.Dir)
	if err := h.Open(); err != nil {
		t.Fatal(err)
	}
	h.Wallet("cold", domaintest.Chain, request.SchemeEVM)
	h.Close()
	newest := filepath.Join(t.TempDir(), "newest")
	copyTree(t, newest, h.Dir)
	copyTree(t, h.Dir, saved)
	err := h.Open()
	h.Close()
	if e, ok := errors.AsType[*tpm.RollbackError](err); !ok || e.Counted <= e.Recorded {
		t.Errorf("the disk of an earlier day: got error %v", err)
	}
	copyTree(t, h.Dir, newest)
	if err := h.Open(); err != nil {
		t.Fatal(err)
	}
	h.Check()
}

// copyTree makes a folder a copy of another.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS gives folders the mode that the umask allows.
	err := filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
