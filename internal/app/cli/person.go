// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"strongroom/client"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/tokenkey"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// personCmd is about people and services.
type personCmd struct {
	New         personNew         `cmd:"" help:"Make an approval key and the id of a new person."`
	Show        personShow        `cmd:"" help:"Show the public part of an approval key."`
	Prepare     personPrepare     `cmd:"" help:"Show that you have a key, so that others can enrol you."`
	Enrol       personEnrol       `cmd:"" help:"Ask for a new person or service."`
	AddKey      personAddKey      `cmd:"" help:"Ask for a further key of yours: a passkey, or another key file."`
	RemoveKey   personRemoveKey   `cmd:"" help:"Ask to take a key from a person."`
	Revoke      personRevoke      `cmd:"" help:"Ask to end a person."`
	List        personList        `cmd:"" help:"People and services of the rule document."`
	Certificate personCertificate `cmd:"" help:"Get a client certificate, and make the identity folder that other commands use."`
	Certify     personCertify     `cmd:"" help:"Issue a certificate for somebody who has none yet."`
}

type personNew struct {
	Out          string `required:"" placeholder:"FILE" help:"File of the new key; the public part is written beside it, as NAME.pub.json. With --token-key only that is written."`
	Alg          string `enum:"ed25519,p256" default:"ed25519" help:"ed25519 or p256."`
	Person       string `placeholder:"ID" help:"Make a further key of a person who exists, instead of one of somebody new."`
	NoPassphrase bool   `help:"Keep the key unencrypted: for services whose machine is protected otherwise, and for tests."`
	PEM          string `name:"pem" placeholder:"FILE" help:"Take this private key (PKCS #8, PEM, Ed25519 or P-256) instead of a new one: for services that sign their calls by themselves."`
	TokenKey     string `name:"token-key" placeholder:"URI" help:"Use a key that lies in a token, pkcs11:token=LABEL;object=LABEL (RFC 7512): a PIV card, for instance."`
}

// publicPath gives the path of the public file beside a key file.
func publicPath(key string) string { return strings.TrimSuffix(key, ".key") + ".pub.json" }

// Run makes the key.
func (c *personNew) Run(e *env) error {
	pub := publicPath(c.Out)
	for _, p := range []string{c.Out, pub} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return hint(errors.Join(err, fmt.Errorf("%s exists already", p)), "choose another --out; a key is never overwritten")
		}
	}
	person := custody.PersonID(c.Person)
	if c.Person == "" {
		person = keyfile.NewPersonID()
	} else if err := person.Check(); err != nil {
		return usage("--person: %w", err)
	}
	if c.TokenKey != "" {
		return c.inToken(e, person, pub)
	}
	k, err := c.make(e, person)
	if err != nil {
		return err
	}
	e.keys = append(e.keys, k)
	if c.NoPassphrase {
		err = k.WritePlainUnsafe(c.Out)
	} else {
		pass, perr := e.choosePassphrase(e.PassphraseFor, c.Out, "--key-passphrase-fd")
		if perr != nil {
			return perr
		}
		err = k.Write(c.Out, pass)
		pass.Wipe()
	}
	if err != nil {
		return err
	}
	if err := keyfile.WritePublic(pub, k.PublicFile()); err != nil {
		return err
	}
	e.say("The key is in %s. Keep it to yourself and make a copy: nobody can restore it.", c.Out)
	e.say("The public part is in %s. Give it to those who make or change the domain.", pub)
	if c.NoPassphrase {
		e.say("The key has no passphrase: whoever reads the file can sign as %s.", k.Person())
	}
	if c.Person != "" {
		e.hint("next: strongroom person prepare --further --key %s --domain domain.json --out %s", c.Out, strings.TrimSuffix(c.Out, ".key")+".card.json")
		return showPublic(e, k.PublicFile())
	}
	e.hint("for a new domain: strongroom domain create --person %s …; for one that exists: strongroom person prepare --key %s --domain domain.json --out %s",
		pub, c.Out, strings.TrimSuffix(c.Out, ".key")+".enrol.json")
	return showPublic(e, k.PublicFile())
}

// make makes the key, or takes the one of --pem.
func (c *personNew) make(e *env, person custody.PersonID) (*keyfile.Key, error) {
	if c.PEM == "" {
		return keyfile.New(e.arena, person, request.Algorithm(c.Alg))
	}
	b, err := os.ReadFile(c.PEM)
	if err != nil {
		return nil, err
	}
	k, err := keyfile.FromPEM(e.arena, person, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.PEM, err)
	}
	return k, nil
}

// inToken finds a key in a token, and writes its public part.
func (c *personNew) inToken(e *env, person custody.PersonID, pub string) error {
	if c.PEM != "" || c.NoPassphrase {
		return usage("--token-key: the key is in the token; --pem and --no-passphrase are for files")
	}
	u, err := tokenkey.Parse(c.TokenKey)
	if err != nil {
		return usage("%w", err)
	}
	if u.Person != "" && c.Person == "" {
		person = u.Person
	}
	k, err := e.token(u, person, func(prompt string) (secret.Bytes, error) {
		return e.passphrase(e.PassphraseFor, prompt, "--key-passphrase-fd")
	})
	if err != nil {
		return err
	}
	e.keys = append(e.keys, k)
	if err := keyfile.WritePublic(pub, k.PublicFile()); err != nil {
		return err
	}
	u.Person = person
	e.say("The public part is in %s. Give it to those who make or change the domain. The key stays in the token; nobody can copy it.", pub)
	e.say("Where a key file is taken, give (in quotes): %s", u)
	e.hint("next: strongroom person prepare --key '%s' --domain domain.json --out %s", u, strings.TrimSuffix(c.Out, ".key")+".enrol.json")
	return showPublic(e, k.PublicFile())
}

func showPublic(e *env, p keyfile.Public) error {
	p.Ref = p.Key().Ref()
	return e.show(p, func() error { return e.pairs(publicPairs(p)) })
}

func publicPairs(p keyfile.Public) []pair {
	return []pair{{"person", string(p.Person)}, {"key", string(p.Key().Ref())}, {"algorithm", string(p.Alg)}, {"public", fmt.Sprintf("%x", p.Pub)}}
}

type personShow struct {
	File string `arg:"" help:"A key file or a public file."`
}

// Run shows it.
func (c *personShow) Run(e *env) error {
	p, err := readPublic(c.File)
	if err != nil {
		return err
	}
	return showPublic(e, p)
}

// readPublic reads the public part of a key from either file.
func readPublic(path string) (keyfile.Public, error) {
	if p, err := keyfile.ReadPublic(path); err == nil || strings.HasSuffix(path, ".json") || errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	return keyfile.PublicOf(path)
}

// enrolment is what a new person gives to those who enrol them. The signature binds all of it and the domain.
type enrolment struct {
	Authority  string            `json:"authority"`
	Person     custody.PersonID  `json:"person"`
	Kind       string            `json:"kind"`
	Key        request.PublicKey `json:"key"`
	Groups     []custody.GroupID `json:"groups,omitempty"`
	Possession []byte            `json:"possession"`

	Line  uint8         `json:"line,omitempty"`
	Roles []client.Role `json:"roles,omitempty"`
}

func (n enrolment) body() *client.PersonEnrol {
	return &client.PersonEnrol{Person: n.Person, Kind: n.Kind, Key: n.Key, Groups: n.Groups, Possession: n.Possession, Line: n.Line, Roles: n.Roles}
}

type personPrepare struct {
	Kind    string   `enum:"human,service" default:"human" help:"human or service."`
	Group   []string `placeholder:"GROUP" help:"Group to join; may be given more than once."`
	Line    uint8    `placeholder:"N" help:"Line of defence: 1 operates, 2 watches over risk, 3 audits; default: none."`
	Role    []string `placeholder:"ROLE" help:"Role, where it is not all that the line has; may be given more than once. docs/spec/roles.md lists them."`
	Further bool     `help:"Prepare a further key of a person who exists; 'strongroom person add-key' asks for it."`
	Out     string   `required:"" placeholder:"FILE" help:"File for those who enrol you; - is standard output."`
}

// Run signs with the new key.
func (c *personPrepare) Run(e *env) error {
	d, err := e.domain()
	if err != nil {
		return err
	}
	a, _, err := d.ids()
	if err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	if c.Further {
		return c.further(e, a, k)
	}
	n := enrolment{Authority: a.String(), Person: k.Person(), Kind: c.Kind, Key: k.Public()}
	for _, g := range sorted(c.Group) {
		n.Groups = append(n.Groups, custody.GroupID(g))
	}
	n.Line = c.Line
	for _, r := range sorted(c.Role) {
		n.Roles = append(n.Roles, client.Role(r))
	}
	if err := (policy.Principal{Kind: policy.PrincipalKind(n.Kind), Line: n.Line, Roles: n.Roles}).CheckRoles(); err != nil {
		return hint(usage("%w", err), "docs/spec/roles.md says which roles there are, and which a line may have")
	}
	if n.Possession, err = k.Sign(n.body().EnrolMessage(a)); err != nil {
		return err
	}
	b, err := encodeJSON(n)
	if err != nil {
		return err
	}
	if err := e.create(c.Out, b, 0o644); err != nil {
		return err
	}
	e.hint("somebody of the domain now runs: strongroom person enrol %s", c.Out)
	return nil
}

// further writes the card of a further key.
func (c *personPrepare) further(e *env, a client.AuthorityID, k *keyfile.Key) (err error) {
	if len(c.Group) > 0 || c.Kind != "human" || c.Line != 0 || len(c.Role) > 0 {
		return usage("--further: kind, groups, line and roles are the person's already")
	}
	n := keyCard{Operation: request.PersonKeyAdd, Authority: a.String(), Person: k.Person(), Key: k.Public()}
	if n.Possession, err = k.Sign(n.body().Message(a)); err != nil {
		return err
	}
	b, err := encodeJSON(n)
	if err != nil {
		return err
	}
	if err := e.create(c.Out, b, 0o644); err != nil {
		return err
	}
	e.hint("ask for it with a key that you have: strongroom person add-key %s", c.Out)
	return nil
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

type personEnrol struct {
	File string `arg:"" help:"What 'strongroom person prepare' wrote, or the card that the pages of serve gave."`
	asking
}

// Run asks.
func (c *personEnrol) Run(e *env) error {
	var n enrolment
	if err := readJSON(c.File, &n); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	a, err := e.authorityOf(c.File, n.Authority)
	if err != nil {
		return err
	}
	if !n.Key.Verify(n.body().EnrolMessage(a), n.Possession) {
		return fmt.Errorf("%s does not show that %s has the key; let them run 'strongroom person prepare' again", c.File, n.Person)
	}
	return c.ask(e, n.body())
}

type personRevoke struct {
	Person string `arg:"" help:"Person id, p_…"`
	asking
}

// Run asks.
func (c *personRevoke) Run(e *env) error {
	return c.ask(e, &client.PersonRevoke{Person: custody.PersonID(c.Person)})
}

type personList struct{}

// Run lists.
func (c *personList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	people, err := cl.Persons(e.ctx)
	if err != nil {
		return err
	}
	return e.show(apiv1.PersonList{Persons: people}, func() error {
		var rows [][]string
		lined := false
		for _, p := range people {
			state := "active"
			if !p.Active {
				state = "revoked"
			}
			var refs []string
			for _, k := range p.Keys {
				refs = append(refs, fmt.Sprintf("%s (%s)", k.Ref, k.Alg))
			}
			line, roles := "", make([]string, len(p.Roles))
			if p.Line > 0 {
				line = fmt.Sprint(p.Line)
			}
			for i, r := range p.Roles {
				roles[i] = string(r)
			}
			lined = lined || line != "" || len(roles) > 0
			rows = append(rows, []string{e.person(p.ID), string(p.Kind), state, strings.Join(refs, ", "), line, strings.Join(roles, ", ")})
		}
		head := []string{"person", "kind", "state", "keys", "line", "roles"}
		if !lined {
			head = head[:4]
			for i := range rows {
				rows[i] = rows[i][:4]
			}
		}
		return e.table(head, rows)
	})
}
