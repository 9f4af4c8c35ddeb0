// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/pure/tlog"
)

func withTiles(dir string) func(*auditlog.Config) {
	return func(c *auditlog.Config) { c.Tiles = auditlog.Tiles{Dir: dir, Every: time.Millisecond} }
}

// fill acknowledges n entries in large batches.
func (h *harness) fill(t testing.TB, n int) (recs []auditlog.Record) {
	t.Helper()
	var last auditlog.Handle
	for range n {
		seq, prev := h.Next()
		rec := logtest.Record(prev, seq)
		e, err := h.Append(t.Context(), rec)
		must(t, err)
		recs, last = append(recs, rec), e
	}
	if n > 0 {
		must(t, last.Wait(t.Context()))
	}
	return recs
}

// folder reads published tiles as the Go checksum database's client does, but for its path that names the height.
type folder struct{ dir string }

func (f folder) Height() int                      { return 8 }
func (f folder) SaveTiles([]sumdb.Tile, [][]byte) {}
func (f folder) ReadTiles(tiles []sumdb.Tile) (out [][]byte, err error) {
	for _, t := range tiles {
		b, err := os.ReadFile(filepath.Join(f.dir, strings.Replace(t.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// verifyFolder checks a published folder with other people's code only.
func verifyFolder(t *testing.T, dir string, recs []auditlog.Record) {
	t.Helper()
	key, _ := newKey(t, 1)
	v, err := note.NewVerifier(key.String())
	must(t, err)
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	must(t, err)
	n, err := note.Open(signed, note.VerifierList(v))
	must(t, err)
	var name, root string
	var size int64
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &name, &size, &root); err != nil || name != origin {
		t.Fatalf("checkpoint %q: %v", n.Text, err)
	}
	hash, err := sumdb.ParseHash(root)
	must(t, err)
	if size != int64(len(recs)) {
		t.Fatalf("published %d entries of %d", size, len(recs))
	}
	if size == 0 {
		return
	}
	reader := sumdb.TileHashReader(sumdb.Tree{N: size, Hash: hash}, folder{dir})
	step := max(1, size/50)
	for i := int64(0); i < size; i += step {
		leaf := sumdb.RecordHash(recs[i].Leaf)
		p, err := sumdb.ProveRecord(size, i, reader)
		must(t, err)
		must(t, sumdb.CheckRecord(p, size, hash, i, leaf))
		var path [][]byte
		for _, h := range p {
			path = append(path, h[:])
		}
		must(t, proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(size), leaf[:], path, hash[:]))
	}
	for b := range (len(recs) + 255) / 256 {
		width := min(256, len(recs)-256*b)
		bundle, err := os.ReadFile(filepath.Join(dir, tlog.BundlePath(uint64(b), width)))
		must(t, err)
		leaves, err := tlog.ParseBundle(bundle)
		must(t, err)
		if len(leaves) != width {
			t.Fatalf("bundle %d has %d leaves, want %d", b, len(leaves), width)
		}
		for i, l := range leaves {
			if string(l) != string(recs[256*b+i].Leaf) {
				t.Fatalf("leaf %d of bundle %d is another", i, b)
			}
		}
	}
}

// published lists the files of a folder by path, with their content.
func published(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path[len(dir)+1:]] = string(b)
		return err
	}))
	return files
}

func TestTilesAreReadByStandardTools(t *testing.T) {
	t.Parallel()
	m, dir := disktest.New(), filepath.Join(t.TempDir(), "tiles")
	var recs []auditlog.Record
	for _, n := range []int{0, 1, 5, 250, 1, 300, 255, 256, 700} { // ends of tiles and within
		h := mustOpen(t, m, withTiles(dir))
		recs = append(recs, h.fill(t, n)...)
		must(t, h.Close()) // publishes
		if s := h.Stats(); s.TilesError != nil || s.Tiled != uint64(len(recs)) {
			t.Fatalf("published %d of %d: %v", s.Tiled, len(recs), s.TilesError)
		}
		verifyFolder(t, dir, recs)
		must(t, h.store.Close())
	}
	for path := range published(t, dir) { // partial forms of what is full are gone
		if whole, _, partial := strings.Cut(path, ".p/"); partial {
			if _, err := os.Stat(filepath.Join(dir, whole)); err == nil {
				t.Errorf("%s is there beside the full one", path)
			}
		}
		if strings.HasPrefix(path, ".") {
			t.Errorf("%s was left over", path)
		}
	}
}

// The example of C2SP tlog-tiles: a tree of 70,000 leaves.
func TestTilesOf70000Entries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := mustOpen(t, disktest.New(), withTiles(dir), func(c *auditlog.Config) { c.Store = bigSegments(t) })
	recs := h.fill(t, 70000)
	for _, seq := range []uint64{0, 255, 256, 65535, 65536, 69999} { // while tiles may still be missing
		_, err := h.ProveInclusion(t.Context(), seq, 70000)
		must(t, err)
	}
	must(t, h.Close())
	verifyFolder(t, dir, recs)
	for path, size := range map[string]int64{
		"tile/0/272": 8192, "tile/0/273.p/112": 112 * 32, "tile/1/000": 8192, "tile/1/001.p/17": 17 * 32, "tile/2/000.p/1": 32,
	} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// What is missing or damaged in the folder is made again from the store.
func TestTilesAreRestored(t *testing.T) {
	t.Parallel()
	m, dir := disktest.New(), t.TempDir()
	// Published at the end only: partial tiles of a state between would not be made again.
	h := mustOpen(t, m, withTiles(dir), func(c *auditlog.Config) { c.Tiles.Every = time.Hour })
	recs := h.fill(t, 1000)
	must(t, h.Close())
	must(t, h.store.Close())
	want := published(t, dir)
	reopen := func(what string) {
		t.Helper()
		h := mustOpen(t, m, withTiles(dir))
		must(t, h.Close())
		must(t, h.store.Close())
		got := published(t, dir)
		for path, content := range want {
			if got[path] != content {
				t.Errorf("%s: %s is not as before", what, path)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d files, want %d", what, len(got), len(want))
		}
		verifyFolder(t, dir, recs)
	}
	reopen("nothing")
	for path := range want {
		must(t, os.Remove(filepath.Join(dir, path)))
		reopen("removed " + path)
		if strings.Contains(path, "entries") {
			continue // their content shows to readers only
		}
		b := []byte(want[path])
		must(t, os.WriteFile(filepath.Join(dir, path), b[:len(b)-1], 0o644))
		reopen("cut " + path)
		if strings.HasPrefix(path, "tile/0/") && !strings.Contains(path, ".p") || path == "tile/1/000.p/3" {
			b[17] ^= 1
			must(t, os.WriteFile(filepath.Join(dir, path), b, 0o644))
			if strings.Contains(path, ".p") {
				reopen("altered " + path)
			} else {
				must(t, os.Remove(filepath.Join(dir, "checkpoint")))
				reopen("altered without checkpoint " + path)
			}
		}
	}
	must(t, os.RemoveAll(dir))
	reopen("removed all")
	must(t, os.WriteFile(filepath.Join(dir, ".staging", "f123"), []byte("left over"), 0o600))
	reopen("left over")
}

// A folder that is ahead of the log shows that the log was rolled back: it is not written over.
func TestTilesOfALaterState(t *testing.T) {
	t.Parallel()
	m, dir := disktest.New(), t.TempDir()
	h := mustOpen(t, m, withTiles(dir))
	h.fill(t, 10)
	old := m.Clone()
	h.fill(t, 10)
	must(t, h.Close())
	want := published(t, dir)
	h = mustOpen(t, old, withTiles(dir))
	must(t, h.Close())
	if s := h.Stats(); s.TilesError == nil {
		t.Error("a folder of a later state was accepted")
	}
	for path, content := range published(t, dir) {
		if want[path] != content {
			t.Errorf("%s was written over", path)
		}
	}
}

func TestTilesGoOnWhenTheFolderIsBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tiles")
	must(t, os.WriteFile(dir, nil, 0o600)) // a file where the folder should be
	h := mustOpen(t, disktest.New(), withTiles(dir))
	recs := h.fill(t, 300) // the log goes on without
	for h.Stats().TilesError == nil {
		time.Sleep(time.Millisecond)
	}
	must(t, os.Remove(dir))
	for h.Stats().Tiled != 300 {
		time.Sleep(time.Millisecond)
	}
	recs = append(recs, h.fill(t, 300)...)
	must(t, h.Close())
	verifyFolder(t, dir, recs)
}

func TestProofs(t *testing.T) {
	t.Parallel()
	for _, tiles := range []bool{true, false} {
		m, dir := disktest.New(), t.TempDir()
		if !tiles {
			dir = ""
		}
		h := mustOpen(t, m, withTiles(dir))
		recs := h.fill(t, 600)
		for size := uint64(1); size <= 600; size += 37 {
			for _, seq := range []uint64{0, size / 2, size - 1} {
				p, err := h.ProveInclusion(t.Context(), seq, size)
				must(t, err)
				if p.Leaf != tlog.LeafHash(recs[seq].Leaf) {
					t.Fatalf("proof of another leaf at %d", seq)
				}
				must(t, tlog.VerifyInclusion(p.Path, seq, size, p.Leaf, p.Root))
			}
			c, err := h.ProveConsistency(t.Context(), size, 600)
			must(t, err)
			if c.Root != h.Head().Root {
				t.Fatal("consistency with another root")
			}
			must(t, tlog.VerifyConsistency(c.Path, size, 600, c.OldRoot, c.Root))
			must(t, second(h.ProveConsistency(t.Context(), (size+1)/2, size)))
		}
		for name, err := range map[string]error{
			"entry beyond the tree": second(h.ProveInclusion(t.Context(), 5, 5)),
			"tree beyond the pin":   second(h.ProveInclusion(t.Context(), 5, 601)),
			"from nothing":          second(h.ProveConsistency(t.Context(), 0, 5)),
			"to beyond the pin":     second(h.ProveConsistency(t.Context(), 1, 601)),
			"backwards":             second(h.ProveConsistency(t.Context(), 6, 5)),
		} {
			if !errors.Is(err, tlog.ErrSize) {
				t.Errorf("%s: %v, want ErrSize", name, err)
			}
		}
		must(t, h.Close())
		if tiles { // a damaged tile gives no false proof
			path := filepath.Join(dir, "tile/0/000")
			b, err := os.ReadFile(path)
			must(t, err)
			b[77] ^= 1
			must(t, os.WriteFile(path, b, 0o644))
			must(t, h.store.Close())
			h = mustOpen(t, m, withTiles(dir))
			if _, err := h.ProveInclusion(t.Context(), 9, 600); !errors.Is(err, auditlog.ErrTiles) {
				t.Errorf("proof from a damaged tile: %v", err)
			}
		}
	}
}

// The publisher reads what it publishes from the store: what was altered there since stops the log.
func TestPublisherFindsAlteredEntries(t *testing.T) {
	t.Parallel()
	m, dir := disktest.New(), t.TempDir()
	h := mustOpen(t, m)
	h.grow(t, 10)
	must(t, h.Close())
	start := h.Head().Frontier
	forged := forge(t, m.Restart().Clone(), func(seq uint64, r *auditlog.Record) {
		if seq == 4 {
			r.Leaf[39] ^= 1
		}
	})
	h = mustOpen(t, forged, withTiles(dir), func(c *auditlog.Config) { c.Start = start })
	<-h.Failed()
	if _, ok := named(h.Err()); !ok {
		t.Errorf("stopped because of %v", h.Err())
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err == nil {
		t.Error("a checkpoint was published over altered entries")
	}
}
