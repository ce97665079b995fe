{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Takes a list: the root, what the container is called, its arguments. */}}
{{- define "container" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
image: {{ include "image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args: {{ index . 2 | toJson }}
env:
  - {name: SERVER_HOST, value: "0.0.0.0"}
  - {name: SERVER_PORT, value: {{ $root.Values.port | quote }}}
  - {name: TMPDIR, value: /var/tmp}
  {{- range $name, $value := $root.Values.settings }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
  {{- range $name, $key := $root.Values.secrets }}
  - {name: {{ $name }}, value: /run/secrets/{{ $key }}}
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: secrets, mountPath: /run/secrets, readOnly: true}
  - {name: state, mountPath: /var/lib/{{ $root.Chart.Name }}}
  - {name: uploads, mountPath: /var/tmp}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "pod" -}}
automountServiceAccountToken: false
# a service called redis would set REDIS_PORT, which is a setting
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
volumes:
  - name: secrets
    secret: {secretName: {{ .Values.secret }}, defaultMode: 0440}
  - name: state
    {{- if .Values.state.claim }}
    persistentVolumeClaim: {claimName: {{ .Values.state.claim }}}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: uploads
    emptyDir: {sizeLimit: {{ .Values.uploads.size }}}
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end }}

{{/* Takes a list: the root, a port. The process may take long to start, and is then asked often. */}}
{{- define "probes" -}}
{{- $root := index . 0 -}}
startupProbe:
  httpGet: {path: /livez, port: {{ index . 1 }}}
  periodSeconds: 2
  timeoutSeconds: 4
  failureThreshold: {{ div $root.Values.startSeconds 2 }}
livenessProbe:
  httpGet: {path: /livez, port: {{ index . 1 }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ index . 1 }}}
  periodSeconds: 2
  timeoutSeconds: 4
  failureThreshold: 1
{{- end }}
