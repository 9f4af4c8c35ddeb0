// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
)

// Status gives the HTTP status of a kind.
func Status(k problem.Kind) int {
	status, _ := statusOf(k)
	return status
}

// statusOf gives the HTTP status of each kind. A test proves it total.
func statusOf(k problem.Kind) (int, bool) {
	switch k {
	case problem.Malformed:
		return http.StatusBadRequest, true
	case problem.Unauthenticated:
		return http.StatusUnauthorized, true
	case problem.Forbidden, problem.RefusedByRule:
		return http.StatusForbidden, true
	case problem.NotFound:
		return http.StatusNotFound, true
	case problem.Undecodable:
		return http.StatusUnprocessableEntity, true
	case problem.QuorumNotMet, problem.NotYet, problem.NoPrice, problem.NoVerdict, problem.WarmClosed, problem.KeyAway, problem.Conflict, problem.IdempotencyReuse, problem.AlreadyDone:
		return http.StatusConflict, true
	case problem.Expired:
		return http.StatusGone, true
	case problem.TooLarge:
		return http.StatusRequestEntityTooLarge, true
	case problem.OutsideBounds, problem.WrongNetwork, problem.Insufficient:
		return http.StatusUnprocessableEntity, true
	case problem.Busy:
		return http.StatusTooManyRequests, true
	case problem.Unsupported:
		return http.StatusNotImplemented, true
	case problem.NodeUnavailable:
		return http.StatusBadGateway, true
	case problem.TimeUncertain, problem.Locked, problem.Stopped, problem.Starting, problem.Zeroized, problem.Reanchoring, problem.Frozen:
		return http.StatusServiceUnavailable, true
	case problem.Internal:
		return http.StatusInternalServerError, true
	default:
		return http.StatusInternalServerError, false
	}
}

// retryable says whether the same call may succeed later without anybody's doing.
func retryable(k problem.Kind) bool {
	switch k {
	case problem.Busy, problem.NodeUnavailable, problem.TimeUncertain, problem.Stopped, problem.Starting:
		return true
	default:
		return false
	}
}

// refusal is a problem with what only HTTP knows of it.
type refusal struct {
	problem *problem.Error
	status  int    // instead of the kind's, or 0
	pointer string // JSON pointer into the body
	request string // id of the request that it is about
}

// Error gives the problem's words.
func (r *refusal) Error() string { return r.problem.Error() }

// Unwrap gives the problem.
func (r *refusal) Unwrap() error { return r.problem }

// at says that a failure is about a member of the body.
func at(pointer string, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	return &refusal{problem: p, pointer: pointer, status: http.StatusUnprocessableEntity}
}

// ask calls the core.
func ask[Rep, Req any](ctx context.Context, core gate.Door, method string, in Req) (Rep, error) {
	rep, err := gate.Call[Req, Rep](ctx, core, method, in)
	return rep, gate.Explain(err)
}

// coreStatus asks the core how it is. One that is not open yet is a problem.
func coreStatus(ctx context.Context, core gate.Door) (message.Status, error) {
	st, err := ask[message.Status](ctx, core, message.MethodStatus, message.Empty{})
	if err == nil {
		err = st.Open()
	}
	return st, err
}

// fail writes err as a problem document.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var x refusal
	var ref *refusal
	switch {
	case errors.As(err, &ref):
		x = *ref
	case errors.As(err, &x.problem):
	default:
		x.problem = problem.Wrap(problem.Internal, err, "serve failed on this call; its log has more under the incident id")
	}
	p := x.problem
	status, _ := statusOf(p.Kind)
	if x.status != 0 {
		status = x.status
	}
	if s.cfg.OnProblem != nil {
		s.cfg.OnProblem(p.Kind)
	}
	doc := apiv1.Problem{Type: apiv1.ProblemType(p.Kind), Title: http.StatusText(status), Status: status, Kind: p.Kind, Detail: p.Detail,
		Rule: p.Rule, Unmet: p.Unmet, Pointer: x.pointer, RequestID: x.request, Retryable: retryable(p.Kind)}
	doc.Incident = s.incident(r, p)
	body, err := json.Marshal(doc)
	if err != nil {
		body = []byte(`{"kind":"internal"}`) // strings and numbers always have a JSON form
	}
	h := w.Header()
	h.Set("Content-Type", apiv1.ProblemJSON)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone
}

// incident logs the cause of a problem and gives the id under which it was logged, the core's if the core has one.
func (s *Server) incident(r *http.Request, p *problem.Error) string {
	var core gate.Incident
	if errors.As(p.Err, &core) {
		return string(core)
	}
	if p.Err == nil && p.Kind != problem.Internal {
		return ""
	}
	var b [8]byte
	rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	level := slog.LevelWarn
	if p.Kind == problem.Internal {
		level = slog.LevelError
	}
	s.cfg.Log.LogAttrs(r.Context(), level, "call failed", slog.String("incident", id), slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.String("kind", string(p.Kind)), slog.String("detail", p.Detail), slog.Any("cause", p.Err))
	return id
}
