// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/tlog"
)

// shown is a log as some serve shows it.
type shown struct {
	rt         http.RoundTripper
	entries    []apiv1.Entry
	checkpoint []byte
}

// RoundTrip answers for status and entries, and passes on the rest.
func (s *shown) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.rt.RoundTrip(r)
	if err != nil || r.URL.Path != "/v1/status" && r.URL.Path != "/v1/audit/entries" {
		return resp, err
	}
	b, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var out any
	if r.URL.Path == "/v1/status" {
		var st apiv1.Status
		err = json.Unmarshal(b, &st)
		st.Checkpoint = s.checkpoint
		out = st
	} else {
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		out = apiv1.EntryList{Entries: s.entries[min(from, len(s.entries)):min(from+3, len(s.entries))]} // a few at a time
	}
	if err != nil {
		return nil, err
	}
	if b, err = json.Marshal(out); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// TestReplayOfAShownLog: the log is replayed if it is the one that was signed, as far as asked; every lie about it is found out.
func TestReplayOfAShownLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.approved(h.asked(coretest.Anna, transfer(50_000)), coretest.Bruno, coretest.Chiara)
	h.asked(coretest.Anna, transfer(60_000))
	all, err := h.client(coretest.Anna).Entries(t.Context(), 0, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	var doc policy.Document
	var id custody.DomainID
	h.core.State(func(s *authority.State) { doc, id = s.Doc, s.Domain })
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	sign := func(entries []apiv1.Entry, origin string) []byte {
		var tree tlog.Frontier
		for _, x := range entries {
			tree.Append(entry.Hash(x.Leaf))
		}
		k, err := tlog.NewKey(origin, key.Public().(ed25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		b, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: origin, Size: tree.Size(), Root: tree.Root()}, k, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	replay := func(s shown, r client.Replaying) (client.ReplayReport, error) {
		s.rt = h.transport(string(coretest.Anna.ID))
		c, err := client.New(client.Config{BaseURL: h.url, Transport: &s, Now: h.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		r.Rules, r.LogKey = doc, key.Public().(ed25519.PublicKey)
		return c.Replay(t.Context(), r)
	}
	origin := entry.Origin(id, 1)
	good := shown{entries: all.Entries, checkpoint: sign(all.Entries, origin)}
	told := uint64(0)
	r, err := replay(good, client.Replaying{From: 1, Progress: func(done, _ uint64) { told = done }})
	if err != nil || len(r.Differ) != 0 || r.Size != uint64(len(all.Entries)) || r.Decisions == 0 || told != r.Size {
		t.Fatalf("%+v, %v, told of %d", r, err, told)
	}
	early, err := replay(good, client.Replaying{From: 1, Size: r.Size - 1})
	if err != nil || early.Size != r.Size-1 || early.Hash() == r.Hash() {
		t.Fatalf("%+v, %v", early, err)
	}
	list, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := client.ReplayEntries(doc, 1, 0, bytes.NewReader(list)); err != nil || again.Hash() != r.Hash() {
		t.Errorf("from a file: %+v, %v", again, err)
	}
	if _, err := client.ReplayEntries(doc, 1, 0, strings.NewReader("{")); err == nil {
		t.Error("half a file was taken")
	}
	if _, err := replay(good, client.Replaying{From: 1, Size: r.Size + 1}); err == nil {
		t.Error("more was replayed than there is")
	}
	lie := func(change func([]apiv1.Entry) []apiv1.Entry) shown {
		return shown{entries: change(slices.Clone(all.Entries)), checkpoint: good.checkpoint}
	}
	last := len(all.Entries) - 1
	for name, s := range map[string]shown{
		"a body of another entry": lie(func(e []apiv1.Entry) []apiv1.Entry { e[last].Bodies = e[last-1].Bodies; return e }),
		"no body":                 lie(func(e []apiv1.Entry) []apiv1.Entry { e[last].Bodies = nil; return e }),
		"an end before the end":   lie(func(e []apiv1.Entry) []apiv1.Entry { return e[:last] }),
		"a request that was not":  {entries: all.Entries, checkpoint: sign(append(slices.Clone(all.Entries[:last]), all.Entries[0]), origin)},
		"another log's":           {entries: all.Entries, checkpoint: sign(all.Entries, entry.Origin(custody.DomainID{1}, 1))},
		"no checkpoint":           {entries: all.Entries},
		"an unsigned one":         {entries: all.Entries, checkpoint: bytes.Replace(good.checkpoint, []byte("\n"+strconv.Itoa(last+1)+"\n"), []byte("\n1\n"), 1)},
	} {
		if _, err := replay(s, client.Replaying{From: 1}); !errors.Is(err, client.ErrDisagrees) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
