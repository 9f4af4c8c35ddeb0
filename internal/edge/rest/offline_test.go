// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
)

// What is no run, no part or no offline domain is refused before the core is asked, or as the core refuses it.
func TestOfflineForms(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Anna.ID))
	post := map[string]string{"Content-Type": apiv1.JSON}
	for name, x := range map[string]struct {
		method, path string
		body         string
		want         problem.Kind
	}{
		"no run":            {"GET", "/v1/offline-bundles/xyz?offset=0", "", problem.Malformed},
		"a short run":       {"GET", "/v1/offline-bundles/00ff?offset=0", "", problem.Malformed},
		"unknown parameter": {"GET", "/v1/offline-bundles/00112233445566778899aabbccddeeff?from=0", "", problem.Malformed},
		"result of no run":  {"POST", "/v1/offline-results", `{"run":"","offset":0,"bytes":""}`, problem.Malformed},
		"unknown member":    {"POST", "/v1/offline-bundles", `{"where":"safe"}`, problem.Malformed},
	} {
		var header map[string]string
		if x.method == http.MethodPost {
			header = post
		}
		resp, b := h.raw(tr, x.method, x.path, header, []byte(x.body))
		if got := problemOf(t, resp, b).Kind; got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	large := bytes.Repeat([]byte{'0'}, 2*(apiv1.MaxResultPart+1))
	body := []byte(`{"run":"` + hex.EncodeToString(make([]byte, 16)) + `","offset":0,"bytes":"` + string(large[:apiv1.MaxResultPart*4/3+8]) + `"}`)
	resp, b := h.raw(tr, http.MethodPost, "/v1/offline-results", post, body)
	if got := problemOf(t, resp, b).Kind; got != problem.TooLarge && got != problem.Malformed {
		t.Errorf("a part that is too large: %s", got)
	}
}
