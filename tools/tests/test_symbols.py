"""The checks of the native library, on lines as readelf prints them."""

from tools import symbols


def test_glibc_newer_than_the_oldest_image_has_is_reported():
    assert symbols.glibc_problems(["  000: 0 (*local*) 2 (GLIBC_2.2.5) 3 (GLIBC_2.17)"]) == []
    assert symbols.glibc_problems(["3 (GLIBC_2.9)", "4 (GLIBC_2.28)"]) == [
        "needs GLIBC_2.28, at most GLIBC_2.17 is allowed"
    ]


def test_library_without_symbol_versions_is_reported():
    assert symbols.glibc_problems([]) == ["no glibc symbol versions found"]


def test_libraries_that_are_not_of_glibc_are_reported():
    lines = [
        " 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]",
        " 0x0000000000000001 (NEEDED)             Shared library: [libstdc++.so.6]",
    ]
    assert symbols.needed_problems(lines) == ["needs the library libstdc++.so.6"]


def test_exports_that_the_jvm_does_not_call_are_reported():
    lines = [
        "   Num:    Value          Size Type    Bind   Vis      Ndx Name",
        "     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND malloc@GLIBC_2.2.5",
        "     2: 0000000000001000    12 FUNC    GLOBAL DEFAULT   12 JNI_OnLoad",
        "     3: 0000000000001100    12 FUNC    GLOBAL DEFAULT   12 Java_org_emrkeys_internal_Natives_open",
        "     4: 0000000000001200    12 FUNC    GLOBAL DEFAULT   12 aes_gcm_encrypt",
        "     5: 0000000000001300    12 FUNC    LOCAL  DEFAULT   12 helper",
    ]
    assert symbols.export_problems(lines) == ["exports aes_gcm_encrypt"]
