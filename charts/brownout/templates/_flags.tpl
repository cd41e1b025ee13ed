{{- /* The arguments of the flag server that say who may call; the context is flags.auth. */ -}}
{{- define "brownout.callers" -}}
{{- if not .trustContext }}
- --public
{{- end }}
{{- if .required }}
- --require-credentials
{{- end }}
{{- if .apiKeys.secretRef.name }}
- --api-keys=/etc/brownout/api-keys/{{ .apiKeys.secretRef.key }}
{{- end }}
{{- with .jwt }}
{{- if .jwksUrl }}
- {{ printf "--jwt-jwks=%s" .jwksUrl | quote }}
- {{ printf "--jwt-issuer=%s" (required "flags.auth.jwt.issuer: is needed with jwksUrl; write whose tokens count" .issuer) | quote }}
{{- if not .audiences }}{{ fail "flags.auth.jwt.audiences: is needed with jwksUrl; write for whom the tokens have to be" }}{{ end }}
{{- range .audiences }}
- {{ printf "--jwt-audience=%s" . | quote }}
{{- end }}
{{- range .algorithms }}
- --jwt-algorithm={{ . }}
{{- end }}
- --jwt-leeway={{ .leewaySeconds }}
- --jwt-refresh={{ .refreshSeconds }}
{{- with .contextClaim }}
- {{ printf "--jwt-context-claim=%s" . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Where quotas are counted, as environment variables: your own, or the release's. */ -}}
{{- define "brownout.quota" -}}
{{- $own := .Values.flags.quotaStorage.secretRef -}}
{{- if $own.name }}
- name: QUOTA_STORAGE_URL
  valueFrom: {secretKeyRef: {name: {{ $own.name }}, key: {{ $own.key }}}}
{{- else if .Values.redis.enabled }}
{{- $at := printf "%s-redis.%s.svc:6379/0" (include "brownout.fullname" .) .Release.Namespace }}
{{- with .Values.redis.auth.secretRef }}
{{- if .name }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
- name: QUOTA_STORAGE_URL
  value: redis://:$(REDIS_PASSWORD)@{{ $at }}
{{- else }}
- name: QUOTA_STORAGE_URL
  value: redis://{{ $at }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
