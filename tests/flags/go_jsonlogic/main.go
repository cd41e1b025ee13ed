// The JsonLogic engine of flagd and of Go's providers, by itself: a line of JSON in (a rule and the data), a line with what it
// comes to out, or with the error.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log"
	"os"

	"github.com/diegoholiveira/jsonlogic/v3"
)

type asked struct {
	Rule json.RawMessage `json:"rule"`
	Data json.RawMessage `json:"data"`
}

type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var what asked
		if err := json.Unmarshal(lines.Bytes(), &what); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(evaluate(what)); err != nil {
			log.Fatal(err)
		}
	}
}

func evaluate(what asked) answer {
	var found bytes.Buffer
	if err := jsonlogic.Apply(bytes.NewReader(what.Rule), bytes.NewReader(what.Data), &found); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Result: bytes.TrimSpace(found.Bytes())}
}
