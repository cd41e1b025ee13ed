{{- /* Combinations that cannot work end the installation with a sentence. */ -}}
{{- define "brownout.checks" -}}
{{- if and (gt (int .Values.operator.replicas) 1) (not .Values.operator.leaderElection.enabled) -}}
{{- fail (printf "operator.replicas: %d operators would each decide and write; write 1, or operator.leaderElection.enabled: true" (int .Values.operator.replicas)) -}}
{{- end -}}
{{- if and .Values.redis.enabled .Values.flags.quotaStorage.secretRef.name -}}
{{- fail "redis.enabled and flags.quotaStorage.secretRef.name: quotas are counted in one place; write one of them" -}}
{{- end -}}
{{- with .Values.operator.prometheus.url -}}
{{- if not (regexMatch "^https?://[^/]" .) -}}
{{- fail (printf "operator.prometheus.url: %q is not an address; write one such as http://prometheus.monitoring:9090" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.operator.featureFlag -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$" .) -}}
{{- fail (printf "operator.featureFlag: %q cannot be the name of a resource; write lower case letters, digits, - and ., such as brownout" .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.networkPolicy.egress.apiServer.cidrs -}}
{{- if not (regexMatch "^[0-9a-fA-F.:]+/[0-9]{1,3}$" .) -}}
{{- fail (printf "networkPolicy.egress.apiServer.cidrs: %q is not a network; write one such as 10.96.0.1/32" .) -}}
{{- end -}}
{{- end -}}
{{- $auth := .Values.flags.auth -}}
{{- with $auth.jwt.jwksUrl -}}
{{- if not (regexMatch "^https?://[^/]" .) -}}
{{- fail (printf "flags.auth.jwt.jwksUrl: %q is not an address; write one such as https://id.example.com/jwks.json" .) -}}
{{- end -}}
{{- end -}}
{{- $algorithms := list "RS256" "RS384" "RS512" "PS256" "PS384" "PS512" "ES256" "ES384" "ES512" "EdDSA" -}}
{{- range $auth.jwt.algorithms -}}
{{- if not (has . $algorithms) -}}
{{- fail (printf "flags.auth.jwt.algorithms: %q is not one with public keys; write some of %s" . (join ", " $algorithms)) -}}
{{- end -}}
{{- end -}}
{{- if and $auth.required (not $auth.jwt.jwksUrl) (not $auth.apiKeys.secretRef.name) -}}
{{- fail "flags.auth.required: nobody has credentials that count; set jwt.jwksUrl or apiKeys.secretRef.name" -}}
{{- end -}}
{{- $seen := dict -}}
{{- range .Values.inference.workloads -}}
{{- $at := printf "%s/%s" (.namespace | default $.Values.inference.defaults.namespace | default $.Release.Namespace) .name -}}
{{- if hasKey $seen $at -}}
{{- fail (printf "inference.workloads: there are two of %s; give one another name or namespace" $at) -}}
{{- end -}}
{{- $_ := set $seen $at true -}}
{{- if not (or .features $.Values.inference.defaults.features .extraArgs $.Values.inference.defaults.extraArgs) -}}
{{- fail (printf "inference.workloads: %s: features: is needed; write the flagKeys of the policies that it serves" $at) -}}
{{- end -}}
{{- if not (or .model $.Values.inference.defaults.model .extraArgs $.Values.inference.defaults.extraArgs (has .name (list "image" "language"))) -}}
{{- fail (printf "inference.workloads: %s: model: is needed; write image, language, a folder of weights, or python:package.module.Class" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
