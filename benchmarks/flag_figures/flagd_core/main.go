// flagd's evaluator behind Go's own HTTP server: what the benchmark of flags stands beside.
//
// It answers OFREP with the evaluator, the store and the answer types of flagd's published core module, as flagd does, but
// without flagd's metrics, tracing, CORS and compression: so it is at least as fast as flagd itself.
//
//	flagd-core ADDRESS FLAGS.json
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/service/ofrep"
	"github.com/open-feature/flagd/core/pkg/store"
	"github.com/open-feature/flagd/core/pkg/sync"
	"go.uber.org/zap"
)

func main() {
	address, path := os.Args[1], os.Args[2]
	silent := logger.NewLogger(zap.NewNop(), false)
	document, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	flags, err := store.NewStore(silent, []string{path})
	if err != nil {
		log.Fatal(err)
	}
	flagd := evaluator.NewJSON(silent, flags)
	if err := flagd.SetState(sync.DataSync{FlagData: string(document), Source: path}); err != nil {
		log.Fatal(err)
	}
	selector := store.NewSelector("")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags/{key}", func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), store.SelectorContextKey{}, selector)
		found := flagd.ResolveAsAnyValue(ctx, "", r.PathValue("key"), evaluationContext(r))
		if found.Error != nil {
			status, body := ofrep.EvaluationErrorResponseFrom(found)
			answer(w, status, body)
			return
		}
		answer(w, http.StatusOK, ofrep.SuccessResponseFrom(found))
	})
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags", func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), store.SelectorContextKey{}, selector)
		found, metadata, err := flagd.ResolveAllValues(ctx, "", evaluationContext(r))
		if err != nil {
			answer(w, http.StatusInternalServerError, ofrep.InternalError{ErrorDetails: err.Error()})
			return
		}
		answer(w, http.StatusOK, ofrep.BulkEvaluationResponseFrom(found, metadata))
	})
	mux.HandleFunc("POST /constant", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, ofrep.InternalError{})
	})
	log.Fatal(http.ListenAndServe(address, mux))
}

func evaluationContext(r *http.Request) map[string]any {
	var request ofrep.Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return map[string]any{}
	}
	found, _ := request.Context.(map[string]any)
	return found
}

func answer(w http.ResponseWriter, status int, body any) {
	content, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(content)
}
