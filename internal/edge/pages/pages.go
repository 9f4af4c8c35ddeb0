// SPDX-License-Identifier: Apache-2.0

// Package pages is what people see of serve in a browser, below /app/: making a passkey (WebAuthn Level 3), signing in with it, and approving,
// rejecting and cancelling requests. It shows and carries; every signature is checked again by the core, which believes none of it.
//
// Whoever controls serve controls these pages: they can show one thing and have another signed. docs/passkeys.md says what follows.
//
// It refuses calls to another host than its origin's, posts that do not come from its own pages (Origin, Sec-Fetch-Site, JSON, and the session's token),
// frames, and everything that is not its own in a page: no inline script, no other origin. A session is a random cookie, kept here as a hash, in memory.
// It reads; no act rests on it.
package pages

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/pure/webauthn"
	"strongroom/internal/svc/roster"
)

// Limits.
const (
	MaxBody = 32 << 10 // bytes of a post

	callTime = 30 * time.Second // for the core to answer
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// Words say things to people.
type Words interface {
	// Body says what a request asks for, one line a fact; source is the paying address of an Ethereum transfer, or empty.
	Body(b request.Body, source string) []string
	// Signing says what a contract call does or a message says, as it was decoded; nothing for other requests.
	Signing(e request.Effects) []string
	// Simulated says what the report of a simulation says, and that it is only the word of serve; nothing where there is none.
	Simulated(r *simulation.Report) []string
	// Groups writes bytes as people compare them.
	Groups(b []byte) string
}

// Config is what the pages need. All fields but Passwords and Elsewhere are required.
type Config struct {
	Core    gate.Door
	Relying webauthn.Relying // of the passkeys; its origin is where a browser finds the pages
	Words   Words
	Status  func(problem.Kind) int // HTTP status of a kind
	Log     *slog.Logger
	Now     func() time.Time

	Passwords Passwords          // nil: no passwords are taken
	Elsewhere Elsewhere          // nil: there is no identity provider
	OnProblem func(problem.Kind) // told of each call that ends with a problem; nil: nobody is
}

func (c *Config) check() (*url.URL, error) {
	if c.Core == nil || c.Words == nil || c.Status == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("pages: core, words, status, log and clock are required")
	}
	if err := c.Relying.Check(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	u, err := url.Parse(c.Relying.Origin)
	if err != nil || u.Scheme != "https" {
		return nil, fmt.Errorf("pages: origin %q must begin with https://", c.Relying.Origin)
	}
	return u, nil
}

// Pages answers below /app/. It is safe for concurrent use.
type Pages struct {
	cfg      Config
	host     string // of the origin, with its port
	people   *roster.Roster
	sessions *sessions
	tickets  *tickets
	failures *limiter // sign-ins that failed
	cards    *limiter // enrolments that were begun
	pages    *template.Template
	mux      *http.ServeMux
}

// New makes the pages.
func New(cfg Config) (*Pages, error) {
	origin, err := cfg.check()
	if err != nil {
		return nil, err
	}
	p := &Pages{cfg: cfg, host: origin.Host, people: roster.New(cfg.Core, cfg.Now), sessions: newSessions(cfg.Now), tickets: newTickets(cfg.Now),
		failures: newLimiter(cfg.Now, MaxFailures), cards: newLimiter(cfg.Now, MaxCards), mux: http.NewServeMux()}
	if p.pages, err = template.New("").Funcs(template.FuncMap{"groups": cfg.Words.Groups}).ParseFS(templateFiles, "templates/*.html"); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	for pattern, h := range map[string]func(*call) error{
		"GET /app/{$}":                p.home,
		"GET /app/enrol":              p.enrol,
		"GET /app/enrol/make":         p.enrolMake,
		"GET /app/requests/{id}":      p.request,
		"POST /app/enrol/key":         p.enrolKey,
		"POST /app/enrol/card":        p.enrolCard,
		"POST /app/enrol/ask":         p.askFor,
		"POST /app/enrol/submit":      p.submit,
		"POST /app/sign-in/challenge": p.challenge,
		"POST /app/sign-in":           p.signIn,
		"POST /app/sign-in/password":  p.signInByPassword,
		"POST /app/sign-in/elsewhere": p.begin,
		"GET " + CallbackPath:         p.callback,
		"POST /app/sign-out":          p.signOut,
		"POST /app/requests/{id}":     p.decide,
		"GET /app/static/{name}":      p.static,
		"/app/": func(c *call) error {
			return problem.New(problem.NotFound, "there is no such page; begin at %s/app/", cfg.Relying.Origin)
		},
	} {
		p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, h) })
	}
	return p, nil
}

// ServeHTTP answers a call below /app/.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Person says who signed in, by a call's cookie; empty if nobody did, or not any more.
func (p *Pages) Person(r *http.Request) custody.PersonID {
	s := p.sessions.of(r)
	if s == nil || p.standing(r.Context(), s) != nil {
		return ""
	}
	return s.person
}

// call is one call of a page.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	session *session // of who signed in, or nil
}

func (c *call) ctx() context.Context { return c.r.Context() }

// headers say what a browser may do with an answer: nothing but what is here.
func headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'; require-trusted-types-for 'script'")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=(), payment=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

// serve checks where a call comes from and answers it.
func (p *Pages) serve(w http.ResponseWriter, r *http.Request, handle func(*call) error) {
	headers(w.Header())
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	c := &call{w: w, r: r.WithContext(ctx)}
	err := p.admit(c)
	if err == nil {
		err = handle(c)
	}
	if err != nil {
		p.fail(c, err)
	}
}

// admit refuses calls that are not of the pages' own making, and finds out who has signed in.
func (p *Pages) admit(c *call) error {
	if c.r.Host != p.host {
		return problem.New(problem.Forbidden, "these pages are at %s/app/: passkeys are good for that address only", p.cfg.Relying.Origin)
	}
	if c.r.Method == http.MethodPost {
		if err := p.ours(c.r); err != nil {
			return err
		}
	}
	s := p.sessions.of(c.r)
	if s == nil {
		return nil
	}
	err := p.standing(c.ctx(), s)
	if problem.KindOf(err) == problem.Unauthenticated {
		p.sessions.end(s)
		return nil
	}
	c.session = s
	return err
}

// ours refuses a post that a page of another site, or a form, made a browser send.
func (p *Pages) ours(r *http.Request) error {
	if o := r.Header.Values("Origin"); len(o) != 1 || o[0] != p.cfg.Relying.Origin {
		return problem.New(problem.Forbidden, "this is for the pages at %s only", p.cfg.Relying.Origin)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return problem.New(problem.Forbidden, "calls that another site makes a browser do are refused")
	}
	return nil
}

// standing says whether a session's person is still active and still has the key that they signed in with, if it was one.
func (p *Pages) standing(ctx context.Context, s *session) error {
	who, err := p.people.Person(ctx, s.person)
	if err != nil && problem.KindOf(err) != problem.Forbidden {
		return err
	}
	if err == nil && s.key == "" { // signed in elsewhere
		return nil
	}
	if err == nil {
		for _, k := range who.Keys {
			if k.Ref() == s.key {
				return nil
			}
		}
	}
	return problem.New(problem.Unauthenticated, "the person or the key that signed in is not there any more")
}
