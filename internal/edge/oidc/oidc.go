// SPDX-License-Identifier: Apache-2.0

// Package oidc signs people in to the pages through an identity provider of the operator's (OpenID Connect Core 1.0: discovery, authorization code with PKCE, state,
// nonce, ID tokens verified with the provider's published keys). It says which person a subject is, by a list that the operator keeps; who is not on it is refused.
//
// Such a login reads, and nothing else: the provider can sign anybody in, so nothing that is signed rests on it. It refuses providers by plain http, and answers
// to sign-ins that this process did not begin, that another browser began, that are older than [Life], or that came before.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Limits.
const (
	Life     = 10 * time.Minute // of a sign-in that was begun
	MaxBegun = 1_000            // at a time; then the oldest is dropped

	patience = 15 * time.Second // for a call of the provider
)

// Config says which provider is asked, and who its subjects are. All fields but Client are required.
type Config struct {
	Issuer   string // URL, https
	ClientID string
	Secret   string // of the client; the library keeps it as a string
	Redirect string // where the provider sends browsers back to, below the pages' origin
	People   map[string]custody.PersonID
	Now      func() time.Time
	Client   *http.Client // calls the provider; nil: with the system's certificates
}

// begun is a sign-in that waits for its answer.
type begun struct {
	browser  [32]byte // hash of the browser's cookie
	nonce    string
	verifier string // PKCE
	at       time.Time
}

// Provider signs people in. It is safe for concurrent use.
type Provider struct {
	cfg Config

	mu       sync.Mutex // guards all below
	provider *goidc.Provider
	waiting  map[string]begun // by state
}

// New makes a provider; it is asked when somebody signs in first.
func New(cfg Config) (*Provider, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("oidc: issuer %q must begin with https://", cfg.Issuer)
	}
	if cfg.ClientID == "" || cfg.Secret == "" || cfg.Redirect == "" || len(cfg.People) == 0 || cfg.Now == nil {
		return nil, errors.New("oidc: client id and secret, redirect, people and clock are required")
	}
	for sub, p := range cfg.People {
		if err := p.Check(); sub == "" || err != nil {
			return nil, fmt.Errorf("oidc: subject %q: %w", sub, errors.Join(err, errors.New("a subject stands before a person's id")))
		}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{}
	}
	c := *cfg.Client
	c.Timeout = patience
	cfg.Client = &c
	return &Provider{cfg: cfg, waiting: map[string]begun{}}, nil
}

// discovered asks the provider where its endpoints and keys are, once.
func (p *Provider) discovered(ctx context.Context) (*goidc.Provider, error) {
	p.mu.Lock()
	known := p.provider
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	// The library keeps the context for its calls of the keys: it must not end with this call.
	found, err := goidc.NewProvider(goidc.ClientContext(context.WithoutCancel(ctx), p.cfg.Client), p.cfg.Issuer)
	if err != nil {
		return nil, problem.Wrap(problem.Unsupported, err, "the identity provider can't be asked; sign in with a passkey")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.provider = found
	return found, nil
}

func (p *Provider) oauth(of *goidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.cfg.Secret, Endpoint: of.Endpoint(), RedirectURL: p.cfg.Redirect, Scopes: []string{goidc.ScopeOpenID}}
}

func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Begin begins a sign-in: it gives where the browser is sent, and a secret that the browser keeps in a cookie until it comes back.
func (p *Provider) Begin(ctx context.Context) (location, browser string, err error) {
	of, err := p.discovered(ctx)
	if err != nil {
		return "", "", err
	}
	browser = random()
	state, b := random(), begun{browser: sha256.Sum256([]byte(browser)), nonce: random(), verifier: oauth2.GenerateVerifier(), at: p.cfg.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest := ""
	for s, x := range p.waiting {
		if age := b.at.Sub(x.at); age < 0 || age >= Life {
			delete(p.waiting, s)
		} else if oldest == "" || x.at.Before(p.waiting[oldest].at) {
			oldest = s
		}
	}
	if len(p.waiting) >= MaxBegun {
		delete(p.waiting, oldest)
	}
	p.waiting[state] = b
	return p.oauth(of).AuthCodeURL(state, goidc.Nonce(b.nonce), oauth2.S256ChallengeOption(b.verifier)), browser, nil
}

// take gives the sign-in of a state, once.
func (p *Provider) take(state, browser string) (begun, error) {
	p.mu.Lock()
	b, ok := p.waiting[state]
	delete(p.waiting, state)
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(browser))
	age := p.cfg.Now().Sub(b.at)
	if !ok || subtle.ConstantTimeCompare(sum[:], b.browser[:]) != 1 || age < 0 || age >= Life {
		return b, problem.New(problem.Unauthenticated, "this sign-in was not begun in this browser, or a while ago; begin again")
	}
	return b, nil
}

// Finish takes what the browser brings back, and says who it is. Whether the person is active is the caller's to look at.
func (p *Provider) Finish(ctx context.Context, state, code, browser string) (custody.PersonID, error) {
	b, err := p.take(state, browser)
	if err != nil {
		return "", err
	}
	refused := func(err error) error {
		return problem.Wrap(problem.Unauthenticated, err, "the identity provider's answer does not sign anybody in; begin again")
	}
	of, err := p.discovered(ctx)
	if err != nil {
		return "", err
	}
	ctx = goidc.ClientContext(ctx, p.cfg.Client)
	token, err := p.oauth(of).Exchange(ctx, code, oauth2.VerifierOption(b.verifier))
	if err != nil {
		return "", refused(errors.New("the code was not exchanged")) // the library's error has the answer, which may have tokens
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", refused(errors.New("it gave no ID token"))
	}
	id, err := of.VerifierContext(ctx, &goidc.Config{ClientID: p.cfg.ClientID, Now: p.cfg.Now, SupportedSigningAlgs: []string{"RS256", "ES256", "EdDSA", "PS256"}}).Verify(ctx, raw)
	if err != nil {
		return "", refused(err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(b.nonce)) != 1 {
		return "", refused(errors.New("the nonce is another one"))
	}
	who, ok := p.cfg.People[id.Subject]
	if !ok {
		return "", problem.New(problem.Unauthenticated, "the identity provider knows you, and the operator of this server has not said who you are here")
	}
	return who, nil
}
