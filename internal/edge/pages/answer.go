// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"

	"strongroom/internal/gate"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/strictjson"
)

// read reads the body of a post strictly: a form of another site can't make a browser send this type.
func (c *call) read(v any) error {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != apiv1.JSON {
		return problem.New(problem.Malformed, "Content-Type must be %s", apiv1.JSON)
	}
	b, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem.New(problem.TooLarge, "the body has more than %d bytes", MaxBody)
	case err != nil:
		return problem.Wrap(problem.Malformed, err, "the body could not be read to its end")
	}
	if err := strictjson.Decode(b, v); err != nil {
		return problem.New(problem.Malformed, "the body: %v", err)
	}
	return nil
}

// reply writes a JSON reply.
func (c *call) reply(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a reply: %w", err)
	}
	c.w.Header().Set("Content-Type", apiv1.JSON)
	_, _ = c.w.Write(b) // the caller may be gone
	return nil
}

// static is GET /app/static/{name}: the script and the style sheet.
func (p *Pages) static(c *call) error {
	media, ok := map[string]string{"passkeys.js": "text/javascript", "style.css": "text/css"}[c.r.PathValue("name")]
	if !ok {
		return problem.New(problem.NotFound, "there is no such file")
	}
	b, err := staticFiles.ReadFile("static/" + c.r.PathValue("name"))
	if err != nil {
		return fmt.Errorf("a file of the pages: %w", err)
	}
	c.w.Header().Set("Content-Type", media+"; charset=utf-8")
	_, _ = c.w.Write(b) // the caller may be gone
	return nil
}

// view is what every page shows.
type view struct {
	Title  string
	RP     string // relying party id, for the script
	Person custody.PersonID
	Token  string // of the session, for the script
	Data   any
}

// page writes a page.
func (p *Pages) page(c *call, status int, name, title string, data any) error {
	v := view{Title: title, RP: p.cfg.Relying.ID, Data: data}
	if c.session != nil {
		v.Person, v.Token = c.session.person, c.session.token
	}
	var b bytes.Buffer
	if err := p.pages.ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b.Bytes()) // the caller may be gone
	return nil
}

// fail writes a failure, as a page or, for the script, as a problem document.
func (p *Pages) fail(c *call, err error) {
	var x *problem.Error
	if !errors.As(err, &x) {
		x = problem.Wrap(problem.Internal, err, "serve failed on this call; its log has more under the incident id")
	}
	if p.cfg.OnProblem != nil {
		p.cfg.OnProblem(x.Kind)
	}
	status := p.cfg.Status(x.Kind)
	doc := apiv1.Problem{Type: apiv1.ProblemType(x.Kind), Title: http.StatusText(status), Status: status, Kind: x.Kind, Detail: x.Detail, Rule: x.Rule,
		Unmet: x.Unmet, Incident: p.incident(c, x)}
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		if err := p.page(c, status, "problem.html", doc.Title, doc); err != nil {
			c.w.WriteHeader(status)
		}
		return
	}
	body, err := json.Marshal(doc)
	if err != nil {
		body = []byte(`{"kind":"internal"}`) // strings and numbers always have a JSON form
	}
	c.w.Header().Set("Content-Type", apiv1.ProblemJSON)
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the caller may be gone
}

// incident logs the cause of a failure and gives the id under which it was logged, the core's if the core has one.
func (p *Pages) incident(c *call, x *problem.Error) string {
	var core gate.Incident
	if errors.As(x.Err, &core) {
		return string(core)
	}
	if x.Err == nil && x.Kind != problem.Internal {
		return ""
	}
	var b [8]byte
	rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	p.cfg.Log.LogAttrs(c.ctx(), slog.LevelWarn, "page failed", slog.String("incident", id), slog.String("method", c.r.Method),
		slog.String("path", c.r.URL.Path), slog.String("kind", string(x.Kind)), slog.String("detail", x.Detail), slog.Any("cause", x.Err))
	return id
}
