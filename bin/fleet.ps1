# Runs relayfleet from this checkout; sets itself up first where that is needed.
$ErrorActionPreference = "Stop"
$here = Split-Path -Parent $PSScriptRoot
$lock = Join-Path $here "requirements.lock"
$stamp = Join-Path $here ".venv\.ready"
$python = Join-Path $here ".venv\Scripts\python.exe"
if (-not (Test-Path $stamp) -or (Get-Item $stamp).LastWriteTime -lt (Get-Item $lock).LastWriteTime) {
    [Console]::Error.WriteLine("setting up .venv (once; this needs the network)")
    if (-not (Test-Path $python)) { py -3 -m venv (Join-Path $here ".venv") }
    & $python -m pip install --quiet --disable-pip-version-check --require-hashes -r $lock
    if ($LASTEXITCODE -ne 0) { exit 1 }
    $packages = & $python -c "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    Set-Content -Path (Join-Path $packages "relayfleet.pth") -Value $here
    & $python -m compileall -q (Join-Path $here "relayfleet")
    New-Item -ItemType File -Force -Path $stamp | Out-Null
}
& $python -m relayfleet @args
exit $LASTEXITCODE
