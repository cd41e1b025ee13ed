module brownout.dev/tests/go_jsonlogic

go 1.24

require github.com/diegoholiveira/jsonlogic/v3 v3.8.4

require github.com/barkimedes/go-deepcopy v0.0.0-20220514131651-17c30cfc62df // indirect
