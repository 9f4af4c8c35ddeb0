// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
	"strongroom/internal/pure/share"
)

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := openTerminal()
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	return master, slave
}

// talk runs a command at a terminal of its own and answers each question; answer gets all that was said since the last answer. It gives everything
// that was shown.
func (r *ritual) talk(answer func(said string) string, args ...string) (string, error) {
	r.t.Helper()
	master, slave := terminal(r.t)
	cmd := r.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	slave.Close()
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() }) // it may just have ended
	defer late.Stop()
	var all, new strings.Builder
	for b := make([]byte, 4096); ; {
		n, err := master.Read(b)
		all.Write(b[:n])
		new.Write(b[:n])
		if err != nil { // the terminal is gone with its last user
			break
		}
		if strings.HasSuffix(new.String(), ": ") {
			said := new.String()
			new.Reset()
			if _, err := master.WriteString(answer(said)); err != nil {
				break
			}
		}
	}
	return all.String(), cmd.Wait()
}

var (
	askedKey      = regexp.MustCompile(`File with the key of (\w+);`)
	askedIdentity = regexp.MustCompile(`Identity file of (\w+);`)
	rolling       = regexp.MustCompile(`(\w+) rolls a die 60 times`)
	takes         = regexp.MustCompile(`\w+ takes (\S+)`)
	brings        = regexp.MustCompile(`Press Enter when (\S+) is there`)
)

// answers gives what the people of a ceremony type. Everybody has their files here but cora, who works on a machine of her own.
func (r *ritual) answers(program string) func(said string) string {
	return func(said string) string {
		said = strings.ReplaceAll(said, "\r\n", "\n")
		switch m := (func(re *regexp.Regexp) string {
			if x := re.FindStringSubmatch(said); x != nil {
				return x[1]
			}
			return ""
		}); {
		case strings.Contains(said, "Type yes if it is the same"):
			return "yes\n"
		case m(askedKey) == "cora" || m(askedIdentity) == "cora":
			return "\n"
		case m(askedKey) != "":
			return r.hand(m(askedKey), "key") + "\n"
		case m(askedIdentity) != "":
			return r.hand(m(askedIdentity), "age") + "\n"
		case strings.Contains(said, "SHA-256 of strongroom-core"):
			return program + "\n"
		case m(rolling) != "":
			b, _ := os.ReadFile(r.hand(m(rolling), "dice"))
			return string(b)
		case m(brings) != "":
			r.elsewhere(m(takes), m(brings))
			return "\n"
		case strings.Contains(said, "Number of the bag"):
			return "A-0017\n"
		case strings.Contains(said, "Name of the safe"):
			return "north\n"
		}
		r.t.Errorf("nobody knows what to answer to %q", said)
		return "\x03"
	}
}

// elsewhere is cora on her own machine.
func (r *ritual) elsewhere(from, to string) {
	if strings.Contains(filepath.Base(from), "-receipt-") {
		shares, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(from)), "shares", "*-cora.share"))
		r.must(append([]string{"custodian", "receipt", shares[0], "--record", from, "--key", r.hand("cora", "key"), "--yes", "--out", to}, r.cardFlags...)...)
		return
	}
	r.must("ceremony", "sign", from, "--key", r.hand("cora", "key"), "--yes", "--out", to)
}

// TestCeremonyDialogue is a ceremony of people at a terminal, one of whom signs elsewhere, interrupted by Ctrl-C.
func TestCeremonyDialogue(t *testing.T) {
	t.Parallel()
	r := newRitual(t)
	r.cardFlags = r.card()
	script := r.createScript("soft", "carl", "cora")
	b, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(strings.Replace(string(b), "unattended: true\n", "", 1), "dice: [carl, cora]", "dice: [carl]", 1)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	core, err := exec.LookPath("strongroom-core")
	if err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(core); err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("%x", sha256.Sum256(b))
	args := []string{"ceremony", "run", "--script", script, "--dir", filepath.Join(r.work, "first"), "--data", r.site.dir, "--passphrase-fd", "3",
		"--weak-passphrase-unsafe", "--rules", filepath.Join(r.work, "rules.cbor")}
	r.refused("is no terminal", args...)
	questions := 0
	all, err := r.talk(func(said string) string {
		if questions++; questions == 4 {
			return "\x03"
		}
		return r.answers(program)(said)
	}, append(args, "--resume")...)
	if err == nil || !strings.Contains(all, "--resume goes on") {
		t.Fatalf("Ctrl-C: %v: %s", err, all)
	}
	all, err = r.talk(r.answers(program), append(args, "--resume")...)
	if err != nil {
		t.Fatalf("%v: %s", err, all)
	}
	dice, err := os.ReadFile(r.hand("carl", "dice"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(all, strings.TrimSpace(string(dice))) {
		t.Error("the dice were shown")
	}
	if !strings.Contains(all, "The ceremony is over.") || !strings.Contains(all, "Step 15 of 15.") {
		t.Errorf("it said: %s", all)
	}
	r.must("ceremony", "verify", filepath.Join(r.work, "first", "transcript.cbor"), "--script", script)
	r.nothingSecretOf("first", "carl")
	r.create()
}

// nothingSecretOf looks for somebody's dice in what a ceremony left.
func (r *ritual) nothingSecretOf(dir, name string) {
	r.t.Helper()
	dice, err := os.ReadFile(r.hand(name, "dice"))
	if err != nil {
		r.t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(r.work, dir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), strings.TrimSpace(string(dice))) {
			r.t.Errorf("%s has the dice of %s", path, name)
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
}

// TestCeremonyOnAToken makes a domain whose root is a token, and restores it on another one.
func TestCeremonyOnAToken(t *testing.T) {
	t.Parallel()
	store := softhsmtest.New(t)
	store.Token(t, "vault", "a passphrase for tests")
	store.Token(t, "second", "a passphrase for tests")
	r := newRitual(t)
	on := func(r *ritual, label string) *ritual {
		s := *r.site
		s.env = []string{store.Env()}
		s.flags = []string{"--root", "pkcs11", "--pkcs11-module", store.Library, "--pkcs11-token", label}
		out := r.at(&s)
		out.flags, out.env = s.flags, s.env
		return out
	}
	first := on(r, "vault")
	script := first.createScript("pkcs11", "carl", "cleo")
	b, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(strings.Replace(string(b), "entropy: { ", "entropy: { sources: [root], ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	first.must(first.lead("run", script, "first", "--rules", filepath.Join(r.work, "rules.cbor"))...)
	first.create()
	first.shares("first")
	c := first.site.start()
	c.wallet(4)
	c.openSession()
	first.site.pay(c, 1, 0)
	c.stop()
	record := filepath.Join(r.work, "first", "recovery.cbor")
	moved := first.moved()
	back := on(first.at(moved), "second")
	lines := first.loadLines(true, record)
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "root: soft", "root: pkcs11", 1)
	}
	back.must(back.lead("restore", r.script("back", "restore", 2, []string{"carl", "cleo"}, lines...), "back", "--record", record,
		"--identity-copy", filepath.Join(r.work, "first", "identity.sealed"), "--working-key-copy", filepath.Join(r.work, "first", "dwk-1.sealed"))...)
	again := back.site.start()
	again.openSession()
	back.site.pay(again, 2, 0)
	again.check()
	again.stop()
}

// TestCustodian is what custodians do alone: keys with a passphrase, words on paper, handing in by hand, a key in a token.
func TestCustodian(t *testing.T) {
	t.Parallel()
	r := newRitual(t)
	said := r.must("custodian", "key", "--out", filepath.Join(r.work, "sealed.age"), "--passphrase-fd", "3", "--weak-passphrase-unsafe")
	if i := strings.Index(said, "age1pq1"); i < 0 {
		t.Fatalf("no recipient: %s", said)
	} else {
		r.recipients["carl"] = strings.Fields(said[i:])[0]
	}
	r.refused("exists already", "custodian", "key", "--out", filepath.Join(r.work, "sealed.age"), "--no-passphrase")
	if err := os.Rename(filepath.Join(r.work, "sealed.age"), r.hand("carl", "age")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.hand("carl", "pass"), []byte("a passphrase for tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must(r.lead("run", r.createScript("soft", "carl", "cleo"), "first", "--rules", filepath.Join(r.work, "rules.cbor"))...)
	sealed, record := filepath.Join(r.work, "first", "shares", "1-carl.share"), filepath.Join(r.work, "first", "recovery.cbor")
	open := []string{"--identity-file", r.hand("carl", "age"), "--identity-passphrase-fd", "3"}
	if said := r.must(append([]string{"custodian", "check", sealed, "--record", record}, open...)...); !strings.Contains(said, "1 of 2, 2 are needed") {
		t.Errorf("check: %s", said)
	}
	r.refused("share 2, of cleo", append([]string{"custodian", "check", filepath.Join(r.work, "first", "shares", "2-cleo.share")}, open...)...)
	r.refused("no terminal", append([]string{"custodian", "words", sealed, "--yes"}, open...)...)
	words := filepath.Join(r.work, "words")
	r.must(append([]string{"custodian", "words", sealed, "--yes", "--out-unsafe", words}, open...)...)
	text, err := os.ReadFile(words)
	if err != nil || len(strings.Fields(string(text))) != 70 {
		t.Errorf("60 words in ten numbered rows: %v: %s", err, text)
	}
	r.handIn(words, sealed, record, open)
}

// handIn leads a drill in which carl brings words and cleo comes by file.
func (r *ritual) handIn(words, sealed, record string, open []string) {
	t := r.t
	r.create()
	c := r.site.start()
	c.stop()
	r.shares("first")
	drill := r.script("drill", "drill", 2, []string{"carl", "cleo"}, r.loadLines(false, record)...)
	r.must(r.lead("drill", drill, "drill", "--record", record)...)
	importer := filepath.Join(r.work, "drill", "importer.cbor")
	r.refused("not the one given", append([]string{"custodian", "hand-in", sealed, "--importer", importer, "--fingerprint", strings.Repeat("0", 64), "--out", filepath.Join(r.work, "part")}, open...)...)
	r.refused("nobody answered", append([]string{"custodian", "hand-in", sealed, "--importer", importer, "--out", filepath.Join(r.work, "part")}, open...)...)
	fingerprint := fingerprintOf(t, importer)
	r.must(append([]string{"custodian", "hand-in", sealed, "--importer", importer, "--fingerprint", fingerprint, "--out", filepath.Join(r.work, "part")}, open...)...)
	byWords := r.command("custodian", "hand-in", "--words-fd", "4", "--record", record, "--name", "carl", "--importer", importer, "--fingerprint", fingerprint, "--out", filepath.Join(r.work, "part2"))
	in, err := os.Open(words)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	byWords.ExtraFiles = append(byWords.ExtraFiles, in)
	if out, err := byWords.CombinedOutput(); err != nil || !strings.Contains(string(out), "Share 1 of carl") {
		t.Errorf("words: %v: %s", err, out)
	}
}

// fingerprintOf gives the fingerprint of a load's key, as the core shows it.
func fingerprintOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i, err := share.DecodeImporter(b)
	if err != nil {
		t.Fatal(err)
	}
	h := i.Fingerprint()
	return hex.EncodeToString(h[:])
}

// card makes a P-256 key in a token of cora's, as she would, and takes it for her recipient. It gives the flags that use it.
func (r *ritual) card() []string {
	r.t.Helper()
	store := softhsmtest.New(r.t)
	const pin = "a passphrase for tests" // that of every descriptor 3 here
	store.Token(r.t, "card", pin)
	r.env = append(r.env, store.Env())
	tool := exec.Command("pkcs11-tool", "--module", store.Library, "--login", "--pin", pin, "--token-label", "card", "--keypairgen", "--key-type", "EC:prime256v1",
		"--usage-derive", "--id", "01", "--label", "share")
	tool.Env = append(os.Environ(), store.Env())
	if out, err := tool.CombinedOutput(); err != nil {
		r.t.Fatalf("pkcs11-tool (apt-get install opensc): %v: %s", err, out)
	}
	flags := []string{"--pkcs11-module", store.Library, "--pkcs11-token", "card", "--pkcs11-key", "share", "--pin-fd", "3"}
	said := r.must(append([]string{"custodian", "key"}, flags...)...)
	i := strings.Index(said, "p256:")
	if i < 0 {
		r.t.Fatalf("no recipient: %s", said)
	}
	r.recipients["cora"] = strings.Fields(said[i:])[0]
	return flags
}
