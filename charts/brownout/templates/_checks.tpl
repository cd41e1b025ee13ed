{{- /* Combinations that cannot work end the installation with a sentence. */ -}}
{{- define "brownout.checks" -}}
{{- if and (gt (int .Values.operator.replicas) 1) (not .Values.operator.leaderElection.enabled) -}}
{{- fail (printf "operator.replicas: %d operators would each decide and write; write 1, or leaderElection.enabled: true" (int .Values.operator.replicas)) -}}
{{- end -}}
{{- if and .Values.redis.enabled .Values.flags.quotaStorage.secretRef.name -}}
{{- fail "redis.enabled and flags.quotaStorage.secretRef.name: quotas are counted in one place; write one of them" -}}
{{- end -}}
{{- $auth := .Values.flags.auth -}}
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
{{- end -}}
{{- end -}}
