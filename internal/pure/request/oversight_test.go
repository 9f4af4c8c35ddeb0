// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/request"
)

func oversightBodies() map[request.Operation]any {
	id := bytes.Repeat([]byte{3}, 32)
	return map[request.Operation]any{
		request.Freeze:         request.FreezeBody{Reason: "a key is lost"},
		request.Unfreeze:       request.UnfreezeBody{Since: 9, Reason: "it is found"},
		request.Drain:          request.DrainBody{Reason: "move it"},
		request.Resume:         request.ResumeBody{Since: 9, Reason: "it is over"},
		request.RequestHold:    request.RequestHoldBody{Request: id, Reason: "odd"},
		request.RequestRelease: request.RequestReleaseBody{Request: id, Hold: 12, Reason: "fine"},
	}
}

func oversightRequest(op request.Operation, body any) request.Request {
	r := example(request.Transfer)
	r.Operation, r.Body = op, canon.Encode(body)
	return r
}

// TestOversightBodies: every operation of oversight has a body that goes both ways, and those that give no power back are the ones that one person does.
func TestOversightBodies(t *testing.T) {
	t.Parallel()
	for _, op := range request.OversightOperations() {
		r := oversightRequest(op, oversightBodies()[op])
		p, err := request.Parse(r.Encode())
		if err != nil {
			t.Errorf("%s: %v", op, err)
			continue
		}
		b, ok := p.Decoded.(request.OversightBody)
		if !ok || b.Why() == "" || !bytes.Equal(canon.Encode(b), r.Body) || !op.Oversight() || !op.Governance() || !slices.Contains(request.Operations(), op) {
			t.Errorf("%s: %+v", op, p.Decoded)
		}
		target, since := request.OversightEffects(b)
		if (len(target) == 32) != (op == request.RequestHold || op == request.RequestRelease) || (since > 0) != (op == request.Unfreeze || op == request.Resume || op == request.RequestRelease) {
			t.Errorf("%s: binds %x, %d", op, target, since)
		}
		if op.Unilateral() != (op == request.Freeze || op == request.RequestHold) {
			t.Errorf("%s: alone %t", op, op.Unilateral())
		}
	}
}

func TestOversightBodiesRefused(t *testing.T) {
	t.Parallel()
	id := bytes.Repeat([]byte{3}, 32)
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want string
	}{
		"no reason":           {request.Freeze, request.FreezeBody{}, "reason"},
		"a long reason":       {request.Freeze, request.FreezeBody{Reason: strings.Repeat("x", 201)}, "reason"},
		"two lines":           {request.Drain, request.DrainBody{Reason: "a\nb"}, "can't be seen"},
		"hidden text":         {request.Drain, request.DrainBody{Reason: "a\u202eb"}, "can't be seen"},
		"broken text":         {request.Resume, request.ResumeBody{Since: 1, Reason: "\xff"}, "body"},
		"no freeze":           {request.Unfreeze, request.UnfreezeBody{Reason: "r"}, "entry of the freeze"},
		"nothing to end":      {request.Resume, request.ResumeBody{Reason: "r"}, "entry of the freeze or drain"},
		"a short id":          {request.RequestHold, request.RequestHoldBody{Request: id[:31], Reason: "r"}, "32 bytes"},
		"no id":               {request.RequestRelease, request.RequestReleaseBody{Hold: 1, Reason: "r"}, "32 bytes"},
		"no hold":             {request.RequestRelease, request.RequestReleaseBody{Request: id, Reason: "r"}, "entry of the hold"},
		"the body of another": {request.Freeze, oversightBodies()[request.RequestHold], "body"},
	} {
		if _, err := request.Parse(oversightRequest(x.op, x.body).Encode()); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	enrol := bodies()[request.PersonEnrol].(request.PersonEnrolBody)
	for want, change := range map[string]func(*request.PersonEnrolBody){"line is 4": func(b *request.PersonEnrolBody) { b.Line = 4 }, "none of": func(b *request.PersonEnrolBody) { b.Roles = []request.Role{"king"} },
		"sorted": func(b *request.PersonEnrolBody) { b.Roles = []request.Role{request.Risk, request.Approver} }} {
		b := enrol
		change(&b)
		if _, err := request.Parse(oversightRequest(request.PersonEnrol, b).Encode()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
