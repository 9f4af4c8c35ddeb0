// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
	"golang.org/x/term"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/tokenkey"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// env is what commands run in.
type env struct {
	*root
	Streams
	ctx    context.Context
	model  *kong.Application
	arena  *secret.Arena
	folder *identity // read when first asked for
	keys   []*keyfile.Key
	opened map[string]*keyfile.Key // by what they were named with
	read   map[int]secret.Bytes    // what file descriptors held, for commands that open several keys
	closer []func()
	names  map[custody.PersonID]string // local; see names.go
}

// settings is the configuration file. Unknown keys are refused.
type settings struct {
	Server   string `yaml:"server"`
	Identity string `yaml:"identity"`
	Key      string `yaml:"key"`
	Domain   string `yaml:"domain"`
}

func newEnv(ctx context.Context, r *root, s Streams, model *kong.Application) (*env, error) {
	arena, err := secret.NewArena(secret.Config{Size: 64 << 10}) // a few keys and passphrases
	if err != nil {
		return nil, err
	}
	e := &env{root: r, Streams: s, ctx: ctx, model: model, arena: arena, read: map[int]secret.Bytes{}}
	if err := e.configure(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// configure fills what flags and environment left empty.
func (e *env) configure() error {
	path := e.Config
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil // no home, no file
		}
		path = filepath.Join(dir, "strongroom", "config.yaml")
	}
	var err error
	if e.names, err = readNames(filepath.Dir(path)); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && e.Config == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var c settings
	if err := strictYAML(b, &c); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	base := filepath.Dir(path)
	for to, from := range map[*string]string{&e.Identity: c.Identity, &e.Key: c.Key, &e.root.Domain: c.Domain} {
		if *to == "" && from != "" {
			*to = beside(base, from)
		}
	}
	if e.Server == "" {
		e.Server = c.Server
	}
	return nil
}

// strictYAML reads one document without unknown keys.
func strictYAML(b []byte, v any) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// beside gives a path as seen from a folder. The URI of a key in a token is no path.
func beside(dir, path string) string {
	if filepath.IsAbs(path) || tokenkey.Is(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func (e *env) close() error {
	for _, f := range e.closer {
		f()
	}
	for _, k := range e.keys {
		k.Wipe()
	}
	for _, p := range e.read {
		p.Wipe()
	}
	return e.arena.Close()
}

// say writes a line of words to people. What others wrote may be in it.
func (e *env) say(format string, args ...any) {
	fmt.Fprintln(e.Err, words.Plain(fmt.Sprintf(format, args...)))
}

// hint names the next step.
func (e *env) hint(format string, args ...any) { e.say("strongroom: hint: "+format, args...) }

func (e *env) json() bool { return e.Output == "json" }

// who reads the identity folder.
func (e *env) who() (*identity, error) {
	if e.folder != nil {
		return e.folder, nil
	}
	if e.Identity == "" {
		return nil, hint(usage("--identity is required: the folder with your client certificate"),
			"make one with 'strongroom person certificate --out DIR', then: export STRONGROOM_IDENTITY=DIR")
	}
	id, err := readIdentity(e.Identity)
	if err != nil {
		return nil, err
	}
	e.folder = id
	return id, nil
}

// domain gives the domain that is worked with: of --domain, or of the identity.
func (e *env) domain() (domainFile, error) {
	if e.root.Domain != "" {
		return readDomainFile(e.root.Domain)
	}
	if e.Identity == "" {
		return domainFile{}, hint(usage("--domain or --identity is required: it says which domain this is about"),
			"'strongroom domain create' writes domain.json into its data folder; it is public")
	}
	id, err := e.who()
	if err != nil {
		return domainFile{}, err
	}
	return id.Domain, nil
}

// signer opens the approval key.
func (e *env) signer() (*keyfile.Key, error) {
	path := e.Key
	if path == "" {
		if e.Identity == "" {
			return nil, hint(usage("--key is required: the file of your approval key"), "'strongroom person new' makes one")
		}
		id, err := e.who()
		if err != nil {
			return nil, err
		}
		if path = id.ApprovalKey; path == "" {
			return nil, hint(usage("--key is required: the identity %s names no approval key", e.Identity), "give the file of your approval key, or set STRONGROOM_KEY")
		}
	}
	return e.open(path)
}

// open opens an approval key, asking for its passphrase or PIN if it has one. A key is opened once.
func (e *env) open(path string) (*keyfile.Key, error) {
	if k, ok := e.opened[path]; ok {
		return k, nil
	}
	k, err := e.unlock(path, func(prompt string) (secret.Bytes, error) {
		return e.passphrase(e.PassphraseFor, prompt, "--key-passphrase-fd")
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(err, "'strongroom person new --out FILE' makes an approval key")
	}
	if err != nil {
		return nil, err
	}
	e.keys = append(e.keys, k)
	if e.opened == nil {
		e.opened = map[string]*keyfile.Key{}
	}
	e.opened[path] = k
	return k, nil
}

// unlock opens a key file, or a key in a token that a URI names (RFC 7512); ask gives the passphrase or the PIN.
func (e *env) unlock(path string, ask func(prompt string) (secret.Bytes, error)) (*keyfile.Key, error) {
	if !tokenkey.Is(path) {
		return keyfile.Open(e.arena, path, func() (secret.Bytes, error) { return ask(fmt.Sprintf("Passphrase of %s: ", path)) })
	}
	u, err := tokenkey.Parse(path)
	if err != nil {
		return nil, usage("%w", err)
	}
	if u.Person == "" && e.Identity != "" {
		id, err := e.who()
		if err != nil {
			return nil, err
		}
		u.Person = id.Person
	}
	if u.Person == "" {
		return nil, hint(usage("the URI does not say whose key it is"), "add ?x-person=ID, as 'strongroom person new --token-key' shows, or give --identity")
	}
	return e.token(u, u.Person, ask)
}

// token opens a key in a token.
func (e *env) token(u tokenkey.URI, person custody.PersonID, ask func(prompt string) (secret.Bytes, error)) (*keyfile.Key, error) {
	if u.Module == "" {
		if u.Module = e.KeyModule; u.Module == "" {
			return nil, hint(usage("the URI names no PKCS#11 library"), "add ?module-path=PATH, or give --key-module or STRONGROOM_KEY_MODULE")
		}
	}
	k, err := tokenkey.Open(e.arena, u, func(label string) (secret.Bytes, error) {
		if u.PINFile == "" {
			return ask(fmt.Sprintf("PIN of token %s: ", label))
		}
		return e.pinFile(u.PINFile)
	})
	if err != nil {
		return nil, err
	}
	return keyfile.Elsewhere(person, k)
}

// pinFile reads a PIN, without one trailing newline, from a file that nobody else can read.
func (e *env) pinFile(path string) (secret.Bytes, error) {
	st, err := os.Stat(path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("file of the PIN: %w", err)
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0 || st.Size() > maxPassphrase+1 {
		return secret.Bytes{}, fmt.Errorf("file of the PIN %s: it must be a short file that nobody else can read; run: chmod 600 %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("file of the PIN: %w", err)
	}
	return e.take(bytes.TrimSuffix(b, []byte("\n")))
}

// maxPassphrase is the longest passphrase in bytes, as in the core.
const maxPassphrase = 1024

// passphrase reads a passphrase from a file descriptor, if one is given, or from the terminal. A descriptor is read once, to its end.
func (e *env) passphrase(fd int, prompt, flag string) (secret.Bytes, error) {
	if fd >= 0 {
		return e.given(fd, flag)
	}
	if e.In == nil || !term.IsTerminal(int(e.In.Fd())) {
		return secret.Bytes{}, usage("no terminal to ask for the passphrase at; give %s", flag)
	}
	fd = int(e.In.Fd())
	before, err := term.GetState(fd)
	if err == nil {
		err = silence(fd) // before the question: who types ahead is not shown either
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	fmt.Fprint(e.Err, words.Plain(prompt))
	raw, err := term.ReadPassword(fd)
	err = errors.Join(err, term.Restore(fd, before))
	e.say("")
	if err != nil {
		clear(raw)
		return secret.Bytes{}, fmt.Errorf("read passphrase: %w", err)
	}
	return e.take(raw)
}

// take moves a passphrase into the arena.
func (e *env) take(raw []byte) (secret.Bytes, error) {
	if len(raw) == 0 || len(raw) > maxPassphrase {
		clear(raw)
		return secret.Bytes{}, usage("a passphrase has 1 to %d bytes", maxPassphrase)
	}
	return secret.Take(e.arena, raw)
}

// given gives what a file descriptor held, without one trailing newline.
func (e *env) given(fd int, flag string) (secret.Bytes, error) {
	kept, ok := e.read[fd]
	if !ok {
		if fd == 1 || fd == 2 {
			return secret.Bytes{}, usage("%s: descriptor %d can't be read from; use 0, or 3 and up", flag, fd)
		}
		raw, err := io.ReadAll(io.LimitReader(os.NewFile(uintptr(fd), "passphrase"), maxPassphrase+2))
		if err != nil {
			clear(raw)
			return secret.Bytes{}, usage("%s: descriptor %d: %w", flag, fd, err)
		}
		if kept, err = e.take(bytes.TrimSuffix(raw, []byte("\n"))); err != nil {
			return kept, err
		}
		e.read[fd] = kept
	}
	return secret.New(e.arena, kept.Len(), func(to []byte) error {
		return kept.Use(func(from []byte) error { copy(to, from); return nil })
	})
}

// newPassphrase reads a passphrase for something new; a terminal is asked twice.
func (e *env) newPassphrase(fd int, what, flag string) (secret.Bytes, error) {
	p, err := e.passphrase(fd, fmt.Sprintf("New passphrase of %s (%d characters or more): ", what, keyfile.MinPassphrase), flag)
	if err != nil {
		return p, err
	}
	if p.Len() < keyfile.MinPassphrase {
		p.Wipe()
		return p, usage("the passphrase is too short; use %d bytes or more, such as five random words", keyfile.MinPassphrase)
	}
	if fd >= 0 {
		return p, nil
	}
	again, err := e.passphrase(fd, "The same again: ", flag)
	if err != nil {
		p.Wipe()
		return p, err
	}
	defer again.Wipe()
	if !p.Equal(again) {
		p.Wipe()
		return p, errDiffer
	}
	return p, nil
}

// confirm asks a question that only "yes" answers. given is the --yes flag.
func (e *env) confirm(given bool, question string) error {
	if given {
		return nil
	}
	return e.confirmWord("yes", question, "a program gives --yes")
}

// confirmWord asks on the terminal until somebody types a word; unattended says what a program does instead.
func (e *env) confirmWord(word, question, unattended string) error {
	fmt.Fprintf(e.Err, "%s Type %s: ", words.Plain(question), word)
	line, err := readLine(e.In)
	if err != nil && strings.TrimSpace(line) == "" {
		e.say("")
		return hint(errors.New("nobody answered; nothing was signed"), "%s", unattended)
	}
	if strings.TrimSpace(line) != word {
		return errors.New("not confirmed; nothing was signed")
	}
	return nil
}

// readLine reads a line of at most 100 bytes, and nothing behind it: another question may follow.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 100; {
		n, err := r.Read(b)
		line = append(line, b[:n]...)
		if n > 0 && b[0] == '\n' {
			break
		}
		if err != nil {
			return string(line), err
		}
	}
	return string(line), nil
}

// typed wants a phrase typed before an act that can't be undone, after it has said what the act does; given is what a program gives in its place, undone
// what did not happen.
func (e *env) typed(given, want, undone string, what ...string) error {
	if given == "" {
		for _, s := range what {
			e.say("%s", s)
		}
		fmt.Fprintf(e.Err, "Type %q: ", want)
		line, err := readLine(e.In)
		if given = strings.TrimSpace(line); err != nil && given == "" {
			return hint(errors.New("nobody answered; "+undone), "a program gives --phrase %q", want)
		}
	}
	if given != want {
		return errors.New("this is not the phrase; " + undone)
	}
	return nil
}

// client makes a client of the server.
func (e *env) client() (*client.Client, error) {
	id := &identity{}
	if !e.SignCalls || e.Identity != "" {
		var err error
		if id, err = e.who(); err != nil {
			return nil, err
		}
	}
	url := cmp.Or(e.Server, id.Server)
	if url == "" {
		return nil, usage("--server is required: the identity %s names none", e.Identity)
	}
	if e.SignCalls {
		return e.signingClient(id, url)
	}
	cert, err := tls.LoadX509KeyPair(id.file(certificateFile), id.file(tlsKeyFile))
	if err != nil {
		return nil, hint(fmt.Errorf("client certificate: %w", err), "'strongroom person certificate --out %s' gets one", e.Identity)
	}
	pool, err := e.authority(id)
	if err != nil {
		return nil, err
	}
	c, err := e.clientFor(client.Config{BaseURL: url, Certificate: cert, CA: pool})
	if err == nil {
		e.closer = append(e.closer, c.Close)
	}
	return c, err
}

// signingClient makes a client that signs its calls, and needs no certificate.
func (e *env) signingClient(id *identity, url string) (*client.Client, error) {
	pool, err := e.authority(id)
	if err != nil {
		return nil, err
	}
	k, err := e.signer()
	if err != nil {
		return nil, err
	}
	c, err := e.clientFor(client.Config{BaseURL: url, Signer: k, CA: pool})
	if err == nil {
		e.closer = append(e.closer, c.Close)
	}
	return c, err
}

// authority reads serve's certificate authority.
func (e *env) authority(id *identity) (*x509.CertPool, error) {
	path := e.CA
	if path == "" {
		if id.dir == "" {
			return nil, usage("--ca is required: the file of serve's certificate authority, ca.pem in its data folder")
		}
		path = id.file(authorityFile)
	}
	ca, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("serve's certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// offline makes a client that composes requests and calls nobody.
func (e *env) offline() (*client.Client, error) {
	return e.clientFor(client.Config{BaseURL: "https://offline.invalid", Transport: noNetwork{}})
}

func (e *env) clientFor(c client.Config) (*client.Client, error) {
	d, err := e.domain()
	if err != nil {
		return nil, err
	}
	if c.Authority, c.Identity, err = d.ids(); err != nil {
		return nil, err
	}
	c.Now = time.Now
	return client.New(c)
}

// noNetwork refuses every call.
type noNetwork struct{}

// RoundTrip refuses.
func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("this command works offline and calls nobody")
}
