// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// domainCmd makes domains.
type domainCmd struct {
	Create domainCreate `cmd:"" help:"Make the keys of a new domain and its genesis, for the first persons to sign."`
	Sign   domainSign   `cmd:"" help:"Sign a genesis as one of the first persons."`
	Finish domainFinish `cmd:"" help:"Make the domain from the genesis that everybody signed."`
	Show   domainShow   `cmd:"" help:"Show the public file of a domain, or a genesis."`

	Status  domainStatus  `cmd:"" help:"Where the domain stands: epochs, custodians, administrators."`
	Points  pointsCmd     `cmd:"" help:"Control points: switches for what the domain can do, whoever asks."`
	Rotate  rotateCmd     `cmd:"" help:"Replace the working key, step by step, while signing goes on."`
	Zeroize domainZeroize `cmd:"" help:"DESTROY the domain's working keys at once. One administrator can."`
	Backup  domainBackup  `cmd:"" help:"Add to a backup what happened since the last one, while the core goes on."`

	Freeze   domainFreeze   `cmd:"" help:"Stop everything at once: no permit, no signature, no use of a key. One person can; it stays until people end it."`
	Unfreeze domainUnfreeze `cmd:"" help:"Ask to end a freeze; the change plan approves."`
	Drain    domainDrain    `cmd:"" help:"Ask to pay nothing but the destinations that the rules approved for this, for a time; the break-glass plan approves."`
	Resume   domainResume   `cmd:"" help:"Ask to end a freeze or a drain; the break-glass plan for that approves."`

	Restore domainRestore `cmd:"" help:"Ask to take a zeroized domain back into use, after its custodians have restored the working key."`

	ReAnchor reanchorCmd `cmd:"" name:"re-anchor" help:"Go on with a log that lost entries, or whose anchor is gone: signed by the recovery plan, after a time-lock."`

	RestoreBackup domainRestoreBackup `cmd:"" name:"restore-backup" help:"Make the domain of a backup, in a folder that has its root of trust."`
	BackupCopies  domainBackupCopies  `cmd:"" name:"backup-copies" help:"Write out what custodians need to restore from a backup: the recovery record, and the sealed copies of identity and working key."`
}

// Files in the data folder of a domain.
const (
	genesisName = "genesis.cbor"
	domainName  = "domain.json"
)

// coreFlags are those of every command that runs the core.
type coreFlags struct {
	Data         string `required:"" placeholder:"DIR" help:"Folder of the domain."`
	PassphraseFD int    `name:"passphrase-fd" default:"-1" placeholder:"N" help:"Read the passphrase of the root of trust, or the PIN of token or TPM, from this file descriptor; default: the terminal."`
	trustFlags

	Memory               int  `placeholder:"BYTES" help:"Locked memory of the core for keys, where the limit (ulimit -l) is below the 16 MiB that it takes otherwise."`
	WeakPassphraseUnsafe bool `help:"The root's passphrase is cheap to guess; for tests. A root that was made so is opened so."`
}

// args gives arguments of strongroom-core.
func (c coreFlags) args(command string, more ...string) []string {
	out := append([]string{command, "--data", c.Data}, more...)
	out = append(out, c.trustFlags.args()...)
	if c.Root == rootPKCS11 && c.PassphraseFD < 0 {
		out = append(out, "--pin-typed") // it was asked for at the terminal, and goes on through a pipe
	}
	if c.Memory != 0 {
		out = append(out, "--memory", strconv.Itoa(c.Memory))
	}
	if c.WeakPassphraseUnsafe {
		out = append(out, "--weak-passphrase-unsafe")
	}
	return out
}

type domainCreate struct {
	coreFlags
	clockFlags
	people
	Rules    string   `required:"" placeholder:"FILE" help:"Rule file (YAML); people may stand in it by label."`
	Profile  string   `enum:"evaluation,production" default:"evaluation" help:"evaluation. A production domain is made by a ceremony: 'strongroom ceremony run'. It never changes."`
	Witness  []string `sep:"none" placeholder:"NAME=VKEY" help:"A log witness, with --anchor witness; 'strongroom witness show' prints its vkey. May be given more than once."`
	Quorum   int      `placeholder:"N" help:"How many log witnesses must cosign; default: more than half of them."`
	SignWith []string `placeholder:"KEY" sep:"none" help:"Sign with this key at once; where every first person's key is given, the domain is finished too."`
	Yes      bool     `short:"y" help:"Do not ask before signing."`
}

// Run makes the keys and the genesis, and goes on as far as keys are at hand.
func (c *domainCreate) Run(e *env) error {
	profile := custody.Profile(c.Profile)
	if profile == custody.Production {
		return hint(errors.New("a production domain is made by a ceremony, with custodians, witnesses and an auditor: 'strongroom ceremony run'"),
			"docs/runbooks/ceremony.md leads through it; --profile evaluation makes a domain to try everything with, but a profile never changes")
	}
	if err := c.coreFlags.check(); err != nil {
		return err
	}
	if _, err := c.relay(); err != nil {
		return err
	}
	who, err := c.people.read()
	if err != nil {
		return err
	}
	doc, err := readRules(c.Rules, who)
	if err != nil {
		return err
	}
	if err := doc.Check(profile); err != nil {
		return hint(placed(c.Rules, err), "change %s; docs/spec/rule-document.md explains every key", c.Rules)
	}
	genesis := filepath.Join(c.Data, genesisName)
	if _, err := os.Stat(filepath.Join(c.Data, domainName)); err == nil {
		return hint(fmt.Errorf("%s holds a domain already", c.Data), "choose another --data")
	}
	pass, err := c.passphrase(e, true)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	draft := filepath.Join(c.Data, "rules.cbor")
	if err := replace(draft, doc.Encode(), 0o600); err != nil {
		return err
	}
	e.say("Making the keys of the domain…")
	args := []string{"--profile", c.Profile, "--document", draft, "--out", genesis, "--quorum", strconv.Itoa(c.Quorum)}
	for _, w := range c.Witness {
		args = append(args, "--witness", w)
	}
	if _, err := e.runCore(pass, c.args("prepare", args...)...); err != nil {
		return err
	}
	e.say("The genesis is in %s.", genesis)
	for _, path := range c.SignWith {
		k, err := e.open(path)
		if err != nil {
			return err
		}
		if err := signGenesis(e, genesis, k, c.Yes); err != nil {
			return c.interrupted(err)
		}
	}
	missing, err := unsigned(genesis)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		e.say("Signatures are missing: %s.", strings.Join(missing, ", "))
		e.hint("each of them runs: strongroom domain sign %s --key THEIR.key; then: strongroom domain finish --data %s%s", genesis, arg(c.Data), c.coreFlags.again()+c.clockFlags.again())
		return nil
	}
	return finish(e, c.coreFlags, c.clockFlags, pass)
}

// interrupted says how a creation goes on after a signature that was not given.
func (c *domainCreate) interrupted(err error) error {
	genesis := filepath.Join(c.Data, genesisName)
	return hint(err, "the keys in %s and the signatures so far are kept: whose signature is missing runs 'strongroom domain sign %s', then 'strongroom domain finish --data %s%s'; the same command again asks everybody anew",
		c.Data, genesis, arg(c.Data), c.coreFlags.again()+c.clockFlags.again())
}

// Kinds of root of trust, as strongroom-core and genesis name them.
const (
	rootSoft   = "soft"
	rootPKCS11 = "pkcs11"
	rootTPM2   = "tpm2"
)

// check refuses flags that strongroom-core would refuse, before anything is asked.
func (c coreFlags) check() error {
	switch named := c.PKCS11Module != "" && c.PKCS11Token != ""; {
	case c.Root == rootPKCS11 && !named:
		return usage("--root pkcs11 needs --pkcs11-module and --pkcs11-token; 'strongroom hsm probe --module PATH' lists the tokens of a library")
	case c.Root != rootPKCS11 && (c.PKCS11Module != "" || c.PKCS11Token != ""):
		return usage("--pkcs11-module and --pkcs11-token are for --root pkcs11")
	}
	return nil
}

// passphrase reads the passphrase of the root of trust, or the PIN of the token. It is a new one where the root will be made, but a token has its PIN
// already.
func (c coreFlags) passphrase(e *env, makes bool) (secret.Bytes, error) {
	const what, flag = "the root of trust", "--passphrase-fd"
	if err := c.check(); err != nil {
		return secret.Bytes{}, err
	}
	if c.Root == rootPKCS11 {
		return e.passphrase(c.PassphraseFD, fmt.Sprintf("PIN of token %s: ", c.PKCS11Token), flag)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "root", "root.soft")); makes && errors.Is(err, fs.ErrNotExist) {
		return e.choosePassphrase(c.PassphraseFD, what, flag)
	}
	return e.passphrase(c.PassphraseFD, "Passphrase of "+what+": ", flag)
}

func readGenesis(path string) (g entry.Genesis, doc policy.Document, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return g, doc, err
	}
	if err := canon.Decode(b, &g); err != nil {
		return g, doc, fmt.Errorf("%s is no genesis: %w", path, err)
	}
	if doc, err = policy.DecodeDocument(g.Document); err != nil {
		return g, doc, fmt.Errorf("%s: %w", path, err)
	}
	if err := doc.Check(g.Profile); err != nil {
		return g, doc, fmt.Errorf("%s: %w", path, err)
	}
	return g, doc, nil
}

// unsigned lists the first persons whose signature is missing.
func unsigned(path string) ([]string, error) {
	g, doc, err := readGenesis(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range doc.Principals {
		if !slices.ContainsFunc(g.Signatures, func(s entry.GenesisSignature) bool { return s.Person == p.ID }) {
			out = append(out, string(p.ID))
		}
	}
	return out, nil
}

type domainSign struct {
	File string `arg:"" help:"The genesis."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

// Run signs.
func (c *domainSign) Run(e *env) error {
	k, err := e.signer()
	if err != nil {
		return err
	}
	if err := signGenesis(e, c.File, k, c.Yes); err != nil {
		return err
	}
	missing, err := unsigned(c.File)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		e.say("Signatures are missing: %s.", strings.Join(missing, ", "))
		return nil
	}
	g, _, err := readGenesis(c.File)
	if err != nil {
		return err
	}
	e.hint("everybody signed; who holds the data folder runs: strongroom domain finish --data %s%s", arg(filepath.Dir(c.File)), flagsOf(g))
	return nil
}

// signGenesis shows a genesis, asks, and puts a signature into the file.
func signGenesis(e *env, path string, k *keyfile.Key, yes bool) error {
	g, doc, err := readGenesis(path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(doc.Principals, func(p policy.Principal) bool { return p.ID == k.Person() })
	if i < 0 || !slices.ContainsFunc(doc.Principals[i].Keys, func(q request.PublicKey) bool { return q.Ref() == k.Public().Ref() }) {
		return fmt.Errorf("%s with this key is no first person of %s", k.Person(), path)
	}
	if !yes {
		for _, p := range genesisPairs(g, doc) {
			e.say("%-14s %s", p.name, p.value)
		}
	}
	if err := e.confirm(yes, fmt.Sprintf("Sign this genesis as %s?", k.Person())); err != nil {
		return &hinted{err: fmt.Errorf("not confirmed: %s did not sign", k.Person()), hint: hintFor(err, "")}
	}
	sig, err := k.Sign(authority.GenesisMessage(g))
	if err != nil {
		return err
	}
	g.Signatures = slices.DeleteFunc(g.Signatures, func(s entry.GenesisSignature) bool { return s.Person == k.Person() })
	g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: k.Person(), Key: k.Public().Ref(), Sig: sig})
	slices.SortFunc(g.Signatures, func(a, b entry.GenesisSignature) int { return strings.Compare(string(a.Person), string(b.Person)) })
	if err := replace(path, canon.Encode(g), 0o600); err != nil {
		return err
	}
	e.say("%s signed.", k.Person())
	return nil
}

// genesisPairs says what a genesis is, all that its signature binds.
func genesisPairs(g entry.Genesis, doc policy.Document) []pair {
	out := []pair{{"profile", string(g.Profile)}, {"root of trust", g.Root}, {"anchor", g.Anchor}, {"log key", hex.EncodeToString(g.LogKey)},
		{"identity key", hex.EncodeToString(g.Identity)}}
	for _, w := range g.Witnesses {
		out = append(out, pair{"log witness", w.Name + ": " + w.Key})
	}
	if g.Quorum > 0 {
		out = append(out, pair{"quorum", fmt.Sprintf("%d of %d log witnesses cosign each entry's checkpoint", g.Quorum, len(g.Witnesses))})
	}
	return append(out, documentPairs(doc)...)
}

type domainFinish struct {
	coreFlags
	clockFlags
	Genesis string `placeholder:"FILE" help:"The signed genesis; default: genesis.cbor in the data folder."`
}

// Run makes the domain.
func (c *domainFinish) Run(e *env) error {
	if _, err := c.relay(); err != nil {
		return err
	}
	if c.Genesis != "" {
		b, err := os.ReadFile(c.Genesis)
		if err != nil {
			return err
		}
		to := filepath.Join(c.Data, genesisName)
		if have, err := os.ReadFile(to); err != nil || !bytes.Equal(have, b) {
			if err := replace(to, b, 0o600); err != nil {
				return err
			}
		}
	}
	missing, err := unsigned(filepath.Join(c.Data, genesisName))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &hinted{err: fmt.Errorf("signatures are missing: %s", strings.Join(missing, ", ")), code: exitPending,
			hint: fmt.Sprintf("each of them runs: strongroom domain sign %s --key THEIR.key", filepath.Join(c.Data, genesisName))}
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	return finish(e, c.coreFlags, c.clockFlags, pass)
}

// finish has the core make the domain, and writes its public file.
func finish(e *env, c coreFlags, clock clockFlags, pass secret.Bytes) error {
	path := filepath.Join(c.Data, genesisName)
	g, _, err := readGenesis(path)
	if err != nil {
		return err
	}
	out, err := clock.create(e, pass, c.args("create", "--genesis", path))
	if err != nil {
		return err
	}
	id, err := custody.ParseDomainID(out)
	if err != nil {
		return fmt.Errorf("%s create: %w", coreProgram, err)
	}
	d := domainFileOf(id, g)
	b, err := encodeJSON(d)
	if err != nil {
		return err
	}
	public := filepath.Join(c.Data, domainName)
	if err := replace(public, b, 0o644); err != nil {
		return err
	}
	e.say("The domain is made. Its public file is %s: give it to everybody who approves or audits.", public)
	e.hint("next: %s", c.next(g.Profile, clock))
	return e.show(d, func() error { return e.pairs(domainPairs(d)) })
}

func domainPairs(d domainFile) []pair {
	ps := []pair{{"domain", d.Domain}, {"profile", string(d.Profile)}, {"origin", d.Origin}, {"log key", d.LogKey}, {"identity key", d.Identity}}
	if raw, err := hex.DecodeString(d.LogKey); err == nil {
		if k, err := tlog.NewKey(d.Origin, raw); err == nil {
			ps = append(ps, pair{"log vkey", k.String()}) // for a log witness's list of logs
		}
	}
	return ps
}

type domainShow struct {
	File string `arg:"" optional:"" help:"domain.json or a genesis; default: the domain of the identity."`
}

// Run shows it.
func (c *domainShow) Run(e *env) error {
	if strings.HasSuffix(c.File, ".cbor") {
		g, doc, err := readGenesis(c.File)
		if err != nil {
			return err
		}
		ps := genesisPairs(g, doc)
		for _, s := range g.Signatures {
			ps = append(ps, pair{"signed by", string(s.Person)})
		}
		return e.pairs(ps)
	}
	if c.File != "" {
		e.root.Domain = c.File
	}
	d, err := e.domain()
	if err != nil {
		return err
	}
	return e.show(d, func() error { return e.pairs(domainPairs(d)) })
}
