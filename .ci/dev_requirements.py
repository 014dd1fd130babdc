"""Print what the installed package's `dev` extra asks for, less the package itself."""

from importlib.metadata import requires

for requirement in requires("plainformer") or []:
    specifier, _, marker = requirement.partition(";")
    if 'extra == "dev"' in marker.replace("'", '"') and not specifier.startswith("plainformer"):
        print(specifier.strip())
