// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"strongroom/internal/core/sharing"
	"strongroom/internal/edge/agefile"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
	"strongroom/test/leaks"
	"strongroom/verify"
)

// until runs a ceremony and kills it, or its core, when step n begins. It says whether it came to its end before.
func (r *ritual) until(n int, core bool, args ...string) (ended bool) {
	r.t.Helper()
	cmd := r.command(args...)
	words, err := cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for s := bufio.NewScanner(words); s.Scan(); {
		if !strings.HasPrefix(s.Text(), fmt.Sprintf("step %d of", n)) {
			continue
		}
		pid := cmd.Process.Pid
		if core {
			pid = child(pid)
		}
		if p, err := os.FindProcess(pid); err == nil && pid != 0 {
			_ = p.Kill() // may have ended
		}
	}
	return cmd.Wait() == nil
}

// child gives the process that a process has started; 0: none.
func child(pid int) int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		if f := strings.Fields(string(b)); len(f) > 0 {
			if n, err := strconv.Atoi(f[0]); err == nil {
				return n
			}
		}
	}
	return 0
}

// plain opens a custodian's share as age does, and gives what is in it: hash of the meta data, value, blinding.
func (r *ritual) plain(a *secret.Arena, name string, sealed []byte) []byte {
	r.t.Helper()
	s, _, _, err := share.DecodeSealed(sealed)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := agefile.Read(a, r.hand(name, "age"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer text.Wipe()
	var out bytes.Buffer
	err = text.Use(func(b []byte) error {
		ids, err := age.ParseIdentities(bytes.NewReader(b))
		if err != nil {
			return err
		}
		in, err := age.Decrypt(bytes.NewReader(s.Box), ids...)
		if err != nil {
			return err
		}
		_, err = out.ReadFrom(in)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.Bytes()
}

// secrets of a ceremony: dice, values of the shares, master secret.
func (r *ritual) secrets(custodians ...string) (out []leaks.Secret) {
	r.t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 256 << 10})
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Close()
	var list []sharing.Share
	var with share.Commitments
	for i, name := range custodians {
		sealed, err := os.ReadFile(filepath.Join(r.work, "first", "shares", fmt.Sprintf("%d-%s.share", i+1, name)))
		if err != nil {
			r.t.Fatal(err)
		}
		_, m, c, err := share.DecodeSealed(sealed)
		if err != nil {
			r.t.Fatal(err)
		}
		plain := r.plain(a, name, sealed)
		out = append(out, leaks.Secret{Name: "value of " + name, Content: bytes.Clone(plain[32:64])}, leaks.Secret{Name: "blinding of " + name, Content: bytes.Clone(plain[64:])})
		if dice, err := os.ReadFile(r.hand(name, "dice")); err == nil {
			out = append(out, leaks.Secret{Name: "dice of " + name, Content: bytes.TrimSpace(dice)})
		}
		encoded, err := secret.Take(a, append([]byte{m.Index}, plain[32:]...))
		if err != nil {
			r.t.Fatal(err)
		}
		s, err := sharing.Parse(a, encoded)
		encoded.Wipe()
		if err != nil {
			r.t.Fatal(err)
		}
		list, with = append(list, s), c
	}
	defer sharing.WipeAll(list)
	master, err := sharing.Combine(a, with, list[:2])
	if err != nil {
		r.t.Fatal(err)
	}
	defer master.Wipe()
	err = master.Use(func(b []byte) error {
		out = append(out, leaks.Secret{Name: "the master secret", Content: bytes.Clone(b)})
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// nothingSecret looks for secrets in all files that ceremonies leave.
func (r *ritual) nothingSecret(custodians ...string) {
	r.t.Helper()
	find := newFinder(r.t, r.secrets(custodians...))
	for _, dir := range []string{r.work, r.site.dir} {
		hits, files, err := find.Folder(dir)
		if err != nil || files == 0 {
			r.t.Errorf("%d files: %v", files, err)
		}
		report(r.t, hits)
	}
	if hits, _, err := find.Folder(r.hands); err != nil || len(hits) == 0 {
		r.t.Errorf("the finder does not find the dice that are in files: %v", err)
	}
}

// TestCeremonyInterrupted kills the program that leads, or the core, at the beginning of each step. The ceremony goes on, comes to its end with a
// transcript that holds, and makes a domain; nothing secret is in any file.
func TestCeremonyInterrupted(t *testing.T) {
	t.Parallel()
	custodians := []string{"carl", "cleo"}
	// 1 open, 2 to 5 attend, 6 and 7 program, 8 commit, 9 and 10 dice, 11 mix, 12 make, then receipt and store for each.
	const steps, first, last = 16, 9, 12 // the core runs from the first to the last
	for _, core := range []bool{false, true} {
		t.Run(fmt.Sprintf("core %t", core), func(t *testing.T) {
			t.Parallel()
			r := newRitual(t)
			script := r.createScript("soft", custodians...)
			args := r.lead("run", script, "first", "--rules", filepath.Join(r.work, "rules.cbor"))
			cut := 0
			resume := []string{}
			for n := 1; n <= steps; n++ {
				if core && (n < first || n > last) {
					continue
				}
				if r.until(n, core, append(args, resume...)...) {
					t.Errorf("step %d: it was not interrupted", n)
				}
				cut++
				if _, err := os.Stat(filepath.Join(r.work, "first", "transcript.cbor")); err == nil {
					resume = []string{"--resume"}
				}
			}
			if !core && cut != steps || core && cut != last-first+1 {
				t.Errorf("it was interrupted %d times: the test shows little", cut)
			}
			r.must(append(args, "--resume")...)
			r.afterCuts(script, custodians)
		})
	}
}

// afterCuts checks a ceremony that was interrupted, and uses what it made.
func (r *ritual) afterCuts(script string, custodians []string) {
	r.t.Helper()
	r.must("ceremony", "verify", filepath.Join(r.work, "first", "transcript.cbor"), "--script", script)
	b, err := os.ReadFile(filepath.Join(r.work, "first", "transcript.cbor"))
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := verify.Transcript(b)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(c.Notes) == 0 || !strings.Contains(c.Notes[0], "interrupted") {
		r.t.Errorf("no witness notes the interruption: %q", c.Notes)
	}
	r.nothingSecret(custodians...)
	r.create()
	r.shares("first")
	core := r.site.start()
	core.wallet(1)
	core.stop()
	record := filepath.Join(r.work, "first", "recovery.cbor")
	r.must(r.lead("drill", r.script("drill", "drill", 2, custodians, r.loadLines(false, record)...), "drill", "--record", record)...)
}

// TestRestoreInterrupted kills a restore at each step.
func TestRestoreInterrupted(t *testing.T) {
	t.Parallel()
	custodians := []string{"carl", "cleo"}
	r := newRitual(t)
	r.must(r.lead("run", r.createScript("soft", custodians...), "first", "--rules", filepath.Join(r.work, "rules.cbor"))...)
	r.create()
	r.shares("first")
	c := r.site.start()
	c.wallet(1)
	c.stop()
	record := filepath.Join(r.work, "first", "recovery.cbor")
	back := r.at(r.moved())
	args := back.lead("restore", r.script("back", "restore", 2, custodians, r.loadLines(true, record)...), "back", "--record", record,
		"--identity-copy", filepath.Join(r.work, "first", "identity.sealed"), "--working-key-copy", filepath.Join(r.work, "first", "dwk-1.sealed"))
	resume, ended := []string{}, false
	for n := 1; n <= 11 && !ended; n++ { // 8 import, 9 and 10 part, 11 combine
		if ended = back.until(n, n >= 9, append(args, resume...)...); ended && n < 10 {
			t.Fatalf("step %d: it was not interrupted", n)
		}
		if _, err := os.Stat(filepath.Join(r.work, "back", "transcript.cbor")); !errors.Is(err, fs.ErrNotExist) {
			resume = []string{"--resume"}
		}
	}
	if !ended { // on a busy machine the kill may come after the last steps, which are short
		back.must(append(args, "--resume")...)
	}
	back.nothingSecret(custodians...)
	again := back.site.start()
	again.check()
	again.stop()
}

// TestCeremonyTampered alters a transcript anywhere, exchanges the script and the genesis: the verifier says so.
func TestCeremonyTampered(t *testing.T) {
	t.Parallel()
	r := newRitual(t)
	script := r.createScript("soft", "carl", "cleo")
	r.must(r.lead("run", script, "first", "--rules", filepath.Join(r.work, "rules.cbor"))...)
	path := filepath.Join(r.work, "first", "transcript.cbor")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := verify.Transcript(b)
	if err != nil {
		t.Fatal(err)
	}
	g := r.genesis()
	r.create() // signs it
	signed, err := os.ReadFile(filepath.Join(r.site.dir, "genesis.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	if err := canon.Decode(signed, &g); err != nil || c.Made(&g) != nil || c.Names(g.Recovery) != nil {
		t.Errorf("the genesis that was made: %v, %v, %v", err, c.Made(&g), c.Names(g.Recovery))
	}
	other := g
	other.Nonce = make([]byte, 16)
	if err := c.Made(&other); !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("another genesis: %v", err)
	}
	if err := c.Made((*entry.Genesis)(nil)); !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("no genesis: %v", err)
	}
	for at := 0; at < len(b); at += 1 + len(b)/400 {
		bad := bytes.Clone(b)
		bad[at] ^= 1
		if _, err := verify.Transcript(bad); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("byte %d altered: %v", at, err)
		}
	}
	var tr ceremony.Transcript
	if err := canon.Decode(b, &tr); err != nil {
		t.Fatal(err)
	}
	tr.Records = append(tr.Records[:3:3], tr.Records[4:]...)
	left := filepath.Join(r.work, "left-out.cbor")
	if err := os.WriteFile(left, tr.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	h := c.Script
	for what, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"right":          {[]string{path, "--script-hash", fmt.Sprintf("%x", h)}, 0, "The transcript holds."},
		"another script": {[]string{path, "--script-hash", strings.Repeat("00", 32)}, 9, "another script"},
		"left out":       {[]string{left}, 9, "record 3"},
		"no transcript":  {[]string{script}, 1, "no transcript"},
		"no file":        {[]string{path + ".none"}, 1, "no such file"},
		"half a hash":    {[]string{path, "--script-hash", "00"}, 2, "64 hex digits"},
	} {
		out, err := exec.Command("strongroom-verify", append([]string{"ceremony"}, tt.args...)...).CombinedOutput()
		code := 0
		var left *exec.ExitError
		if errors.As(err, &left) {
			code = left.ExitCode()
		}
		if code != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: exit status %d: %s", what, code, out)
		}
	}
}

// TestCeremonyRestoresFromABackup: a new machine, two custodians and a backup bring the domain back, with the same addresses and signatures.
func TestCeremonyRestoresFromABackup(t *testing.T) {
	t.Parallel()
	r := newRitual(t)
	r.must(r.lead("run", r.createScript("soft", "carl", "cleo", "cora"), "first", "--rules", filepath.Join(r.work, "rules.cbor"))...)
	r.create()
	r.shares("first")
	c := r.site.start()
	c.wallet(4)
	c.openSession()
	before, paid := r.site.pay(c, 1, 0)
	backup, copies := filepath.Join(r.work, "backup"), filepath.Join(r.work, "copies")
	r.must("domain", "backup", "--data", r.site.dir, "--to", backup)
	c.stop()
	r.must("domain", "backup-copies", "--from", backup, "--out", copies)

	clean := *r.site
	clean.dir = filepath.Join(t.TempDir(), "domain")
	back := r.at(&clean)
	record := filepath.Join(copies, "record.cbor")
	back.must(back.lead("restore", r.script("back", "restore", 2, []string{"cora", "carl"}, r.loadLines(true, record)...), "back", "--record", record,
		"--identity-copy", filepath.Join(copies, "identity.sealed"), "--working-key-copy", filepath.Join(copies, "dwk-1.sealed"))...)
	back.must("domain", "restore-backup", "--from", backup, "--data", clean.dir, "--passphrase-fd", "3", "--weak-passphrase-unsafe")
	again := clean.start()
	if st := again.status(); st.Domain != r.site.domain {
		t.Errorf("domain %s, was %s", st.Domain, r.site.domain)
	}
	got, err := gate.Call[message.Sign, message.Signed](t.Context(), again.door, message.MethodSign, message.Sign{ID: paid})
	if err != nil || !bytes.Equal(got.Bytes, before) {
		t.Errorf("another signature of the same request: %v", err)
	}
	again.openSession()
	clean.pay(again, 2, 0)
	again.check()
	again.stop()
}
