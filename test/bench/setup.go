// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// destination is in the address book of the benchmark's domain.
const destination = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

var chain = custody.EVMChain(1337)

// person is somebody with a key.
type person struct {
	id  custody.PersonID
	key ed25519.PrivateKey
	pub request.PublicKey
}

func newPerson() person {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, 16)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return person{custody.PersonID("p_" + string(b)), key, request.PublicKey{Alg: request.Ed25519, Pub: pub}}
}

func (p person) evidence(r request.Request) request.Evidence {
	return request.Evidence{Key: p.pub.Ref(), Sig: ed25519.Sign(p.key, canon.Message(canon.TagRequest, r))}
}

// domain is a running core with a domain of the benchmark's own.
type domain struct {
	dir, socket string
	binary      string
	flags       []string
	officers    []person
	service     person
	genesis     entry.Genesis
	cmd         *exec.Cmd
	door        *gate.Client
	authority   custody.AuthorityID
	id          custody.DomainID
	session     [16]byte
	mac         []byte
	holds       ruled
}

// newDomain makes a domain in a new folder below dir and starts its core.
func newDomain(ctx context.Context, binary, dir string, flags ...string) (*domain, error) {
	d, err := makeDomain(ctx, binary, dir, nil, flags...)
	if err != nil {
		return d, err
	}
	return d, d.start(ctx)
}

// makeDomain makes a domain whose genesis is prepared with some flags besides those of its core.
func makeDomain(ctx context.Context, binary, dir string, prepare []string, flags ...string) (*domain, error) {
	return makeDomainOf(ctx, binary, dir, ruled{}, prepare, flags...)
}

// makeDomainOf is [makeDomain] with the rules of x.
func makeDomainOf(ctx context.Context, binary, dir string, x ruled, prepare []string, flags ...string) (*domain, error) {
	d := &domain{dir: dir, socket: filepath.Join(dir, "door", "core.sock"), binary: binary, flags: flags, service: newPerson(), holds: x}
	for range 3 {
		d.officers = append(d.officers, newPerson())
	}
	doc := filepath.Join(dir, "document.cbor")
	genesis := filepath.Join(dir, "genesis.cbor")
	if err := os.WriteFile(doc, d.document().Encode(), 0o600); err != nil {
		return nil, err
	}
	if _, err := d.core(ctx, append([]string{"prepare", "--document", doc, "--out", genesis}, append(prepare, flags...)...)...); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(genesis)
	if err != nil {
		return nil, err
	}
	if err := canon.Decode(b, &d.genesis); err != nil {
		return nil, err
	}
	for _, p := range d.document().Principals {
		who := d.find(p.ID)
		d.genesis.Signatures = append(d.genesis.Signatures, entry.GenesisSignature{Person: p.ID, Key: who.pub.Ref(),
			Sig: ed25519.Sign(who.key, authority.GenesisMessage(d.genesis))})
	}
	if err := os.WriteFile(genesis, canon.Encode(d.genesis), 0o600); err != nil {
		return nil, err
	}
	id, err := d.core(ctx, append([]string{"create", "--genesis", genesis}, flags...)...)
	if err != nil {
		return nil, err
	}
	d.id, err = custody.ParseDomainID(strings.TrimSpace(id))
	return d, err
}

func (d *domain) find(id custody.PersonID) person {
	for _, p := range append(slices.Clone(d.officers), d.service) {
		if p.id == id {
			return p
		}
	}
	return person{}
}

// document has an automatic route for the service and a route with two approvals of three officers.
func (d *domain) document() policy.Document {
	small := custody.U64(1_000_000)
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	doc := policy.Document{V: 1, Version: 1, AddressBook: []policy.BookEntry{{ID: "exchange", Chain: chain, Address: destination}},
		Floor: policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: request.MaxLifetime, MaxApprovalAge: request.MaxApprovalAge},
		Guards: []policy.Guard{{ID: "known-destinations", Effect: policy.Deny,
			When: policy.Match{Operations: []request.Operation{request.Transfer}, DestNot: []policy.DestinationKind{policy.Whitelisted}}}},
		Routes: []policy.Route{
			{ID: "small-by-service", Priority: 10, Auto: true, When: policy.Match{Operations: []request.Operation{request.Transfer},
				Initiators: []custody.PersonID{d.service.id}, Assets: []custody.AssetID{chain.Native()}, AmountMax: &small, Expr: `feeCap <= amount("10000000")`}},
			{ID: "two-of-three", Priority: 20, Plan: two, When: policy.Match{Operations: []request.Operation{request.Transfer}}},
			{ID: "wallets", Priority: 30, Plan: one, When: policy.Match{Operations: []request.Operation{request.WalletCreate}}},
			{ID: "apps", Priority: 40, Plan: one, When: policy.Match{Operations: []request.Operation{request.AppGrant}}},
		}, ChangePlan: two}
	officers := policy.Group{ID: "officers"}
	for _, p := range append(slices.Clone(d.officers), d.service) {
		kind := policy.Human
		if p.id == d.service.id {
			kind = policy.Service
		} else {
			officers.Members = append(officers.Members, p.id)
		}
		doc.Principals = append(doc.Principals, policy.Principal{ID: p.id, Kind: kind, Keys: []request.PublicKey{p.pub}, Active: true})
	}
	slices.Sort(officers.Members)
	slices.SortFunc(doc.Principals, func(a, b policy.Principal) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	doc.Groups = []policy.Group{officers}
	if d.holds.rules > 0 {
		d.holds.crowd(&doc)
	}
	return doc
}

// command builds a call of the core's program; the passphrase comes through a pipe.
func (d *domain) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, "a passphrase for benchmarks"); err != nil {
		return nil, err
	}
	w.Close()
	args = append([]string{args[0], "--data", d.dir, "--passphrase-fd", "3", "--weak-passphrase-unsafe"}, args[1:]...)
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.ExtraFiles = []*os.File{r}
	return cmd, nil
}

func (d *domain) core(ctx context.Context, args ...string) (string, error) {
	cmd, err := d.command(ctx, args...)
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("strongroom-core %s: %w: %s", args[0], err, errs.Bytes())
	}
	return out.String(), nil
}

// start runs the core and connects to its door.
func (d *domain) start(ctx context.Context) error {
	cmd, err := d.command(context.WithoutCancel(ctx), append([]string{"run", "--socket", d.socket, "--ready-fd", "4"}, d.flags...)...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.socket), 0o700); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	logFile, err := os.Create(filepath.Join(d.dir, "core.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd.Stderr = logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	w.Close()
	d.cmd = cmd
	if b, err := io.ReadAll(r); err != nil || len(b) == 0 {
		said, _ := os.ReadFile(logFile.Name())
		return fmt.Errorf("the core did not start: %s", said)
	}
	if d.door, err = gate.Dial(ctx, d.socket); err != nil {
		return err
	}
	s, err := gate.Call[message.Empty, message.Status](ctx, d.door, message.MethodStatus, message.Empty{})
	d.authority, d.id = s.Authority, s.Domain
	return err
}

// stop ends the core.
func (d *domain) stop() error {
	if d == nil || d.cmd == nil {
		return nil
	}
	var err error
	if d.door != nil {
		err = d.door.Close()
	}
	return errors.Join(err, d.cmd.Process.Signal(os.Interrupt), d.cmd.Wait())
}

// kill ends the core as a crash would.
func (d *domain) kill() error {
	err := errors.Join(d.door.Close(), d.cmd.Process.Kill())
	_ = d.cmd.Wait() // says that it was killed
	return err
}

// openSession opens the service's session.
func (d *domain) openSession(ctx context.Context) error {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	o := request.SessionOpening{V: 1, Authority: d.authority, Domain: d.id, Service: d.service.id, Ephemeral: own.PublicKey().Bytes(), NotAfter: time.Now().Unix() + 20*3600}
	raw := canon.Encode(o)
	g, err := gate.Call[message.OpenSession, request.SessionGrant](ctx, d.door, message.MethodSession,
		message.OpenSession{Opening: raw, Key: d.service.pub.Ref(), Sig: ed25519.Sign(d.service.key, canon.TagBytes(canon.TagSession, raw))})
	if err != nil {
		return err
	}
	peer, err := ecdh.X25519().NewPublicKey(g.Ephemeral)
	if err != nil {
		return err
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return err
	}
	salt := canon.HashBytes(canon.TagSession, raw)
	d.session = [16]byte(g.Session)
	d.mac, err = hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, g.Session)), 32)
	return err
}

// addWallets makes wallets from number from to number to, all accounts of one seed.
func (d *domain) addWallets(ctx context.Context, from, to int) error {
	if from == 0 {
		if err := d.addWallet(ctx, 0, ""); err != nil {
			return err
		}
		from = 1
	}
	w, err := gate.Call[message.WalletID, message.Wallet](ctx, d.door, message.MethodWallet, message.WalletID{ID: walletID(0)})
	if err != nil {
		return err
	}
	const workers = 128
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := from + k; i < to; i += workers {
				if err := d.addWallet(ctx, i, w.Wallet.Key); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func walletID(i int) custody.WalletID { return custody.WalletID("w" + strconv.Itoa(i)) }

func (d *domain) addWallet(ctx context.Context, i int, seed custody.KeyID) error {
	body := request.WalletCreateBody{Wallet: walletID(i), Chain: chain, Scheme: request.SchemeEVM, Seed: seed}
	if seed != "" {
		body.Account = uint32(i)
	}
	v, err := d.ask(ctx, d.officers[0], d.request(d.officers[0], "wallet-"+strconv.Itoa(i), request.WalletCreate, body), nil)
	if err != nil {
		return err
	}
	v, err = d.approve(ctx, d.officers[1], v)
	if err == nil && v.State != message.StateExecuted {
		err = fmt.Errorf("wallet %d: %s", i, v.State)
	}
	return err
}

func (d *domain) request(by person, key string, op request.Operation, body any) request.Request {
	return request.Request{V: 1, Authority: d.authority, Domain: d.id, Initiator: by.id, Key: key, Operation: op, Body: canon.Encode(body), NotAfter: time.Now().Unix() + 120}
}

func (d *domain) ask(ctx context.Context, by person, r request.Request, payload []byte) (message.Request, error) {
	return gate.Call[message.Submit, message.Request](ctx, d.door, message.MethodSubmit, message.Submit{Request: r.Encode(), Evidence: by.evidence(r), Payload: payload})
}

func (d *domain) approve(ctx context.Context, by person, v message.Request) (message.Request, error) {
	r, err := request.Decode(v.Request)
	if err != nil {
		return v, err
	}
	s := authority.StatementOf(d.authority, d.id, v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(by.id, request.Approve)
	return gate.Call[message.Approve, message.Request](ctx, d.door, message.MethodApprove, message.Approve{Approval: request.Approval{Request: v.ID,
		Person: by.id, Decision: request.Approve, Key: by.pub.Ref(), Sig: ed25519.Sign(by.key, s.Message())}})
}
