// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// limitedConn gives its place back when it closes.
type limitedConn struct {
	net.Conn
	room chan struct{}
	once sync.Once
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.room })
	return err
}

// operation is one thing that the API does. Its fields make the route and the description.
type operation struct {
	id        string // operationId
	method    string
	path      string // as in the description; the last segment may end in ":verb"
	summary   string
	anonymous bool
	services  access      // what services may do here; people may do all that their roles let them
	verb      policy.Verb // that the caller's roles must have; empty: everybody, of requests their own
	create    bool        // needs an Idempotency-Key
	query     []param     // all that are known
	body      any         // zero value of the JSON body's type; nil: there is none
	cbor      bool        // a CBOR body is taken too

	reply  any    // zero value of the JSON reply's type; nil: raw bytes
	media  string // of raw bytes
	status int    // of success; 0: 200
	handle func(*call) error
}

// param is a query parameter: text, or a whole number.
type param struct {
	name, doc string
	number    bool
}

// call is one call of an operation.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	op      *operation
	by      custody.PersonID // who calls; empty for anonymous operations
	service bool             // the caller is a service
	others  bool             // the caller's roles let them see the requests of others
	id      string           // the {id} of the path
	held    int64            // bytes of the body's budget
	signed  *signature       // of the call; nil: it has none
}

func (c *call) ctx() context.Context { return c.r.Context() }

// reply writes a JSON reply.
func (c *call) reply(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write reply of %s: %w", c.op.id, err)
	}
	h := c.w.Header()
	h.Set("Content-Type", apiv1.JSON)
	h.Set("Content-Length", strconv.Itoa(len(b))) // else net/http sends replies as long as a request's in chunks
	if c.op.status != 0 {
		c.w.WriteHeader(c.op.status)
	}
	_, _ = c.w.Write(b) // the caller may be gone
	return nil
}

// requestID reads the {id} of the path as a request's.
func (c *call) requestID() (custody.RequestID, error) {
	id, err := custody.ParseRequestID(c.id)
	if err != nil {
		return id, problem.New(problem.Malformed, "%v", err)
	}
	return id, nil
}

// routes are the operations of one method and pattern, by verb.
type routes map[string]*operation

// route makes the handler of the operations.
func (s *Server) route(ops []*operation) http.Handler {
	mux := http.NewServeMux()
	byPattern := map[string]routes{}
	for _, op := range ops {
		path, verb := op.path, ""
		if strings.HasPrefix(path[strings.LastIndex(path, "/"):], "/{id}:") {
			path, verb, _ = strings.Cut(path, "}:")
			path += "}"
		}
		p := op.method + " " + path
		if byPattern[p] == nil {
			byPattern[p] = routes{}
			mux.HandleFunc(p, func(w http.ResponseWriter, r *http.Request) { s.dispatch(byPattern[p], w, r) })
		}
		byPattern[p][verb] = op
	}
	if s.cfg.Pages != nil {
		mux.Handle("/app/", s.cfg.Pages)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.nowhere(mux, w, r) })
	return mux
}

// nowhere answers what no operation does.
func (s *Server) nowhere(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, p := mux.Handler(probe); p != "/" && m != r.Method {
			allow = append(allow, m)
		}
	}
	if len(allow) > 0 {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		s.fail(w, r, &refusal{problem: problem.New(problem.Unsupported, "%s is not allowed here", r.Method), status: http.StatusMethodNotAllowed})
		return
	}
	s.fail(w, r, problem.New(problem.NotFound, "nothing is at %s; /openapi.json lists what is", r.URL.Path))
}

// dispatch finds the operation by verb, checks who calls, and runs it.
func (s *Server) dispatch(rs routes, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	id, verb, _ := strings.Cut(r.PathValue("id"), ":")
	op, ok := rs[verb]
	if !ok {
		s.fail(w, r, problem.New(problem.NotFound, "nothing is at %s; /openapi.json lists what is", r.URL.Path))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	c := &call{s: s, w: w, r: r.WithContext(ctx), op: op, id: id}
	defer c.release()
	if err := s.admit(c); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := op.handle(c); err != nil {
		s.fail(w, r, err)
	}
}

// admit says whether the caller may call at all, and whether the call has its form.
func (s *Server) admit(c *call) error {
	if !c.op.anonymous {
		if err := s.identify(c); err != nil {
			return err
		}
	}
	if c.op.method == http.MethodPost && c.op.body == nil {
		if err := c.nothing(); err != nil {
			return err
		}
	}
	if c.r.URL.RawQuery == "" {
		return nil
	}
	q, err := parseQuery(c.r.URL.RawQuery)
	if err != nil {
		return err
	}
	for name, values := range q {
		if !slices.ContainsFunc(c.op.query, func(p param) bool { return p.name == name }) {
			return problem.New(problem.Malformed, "query parameter %q is not known here", name)
		}
		if len(values) != 1 {
			return problem.New(problem.Malformed, "query parameter %q occurs twice", name)
		}
	}
	return nil
}
