# SPDX-License-Identifier: Apache-2.0
"""Which object a DICOM header states, if that is not a chest radiograph: by SOP class, modality and body part.

The folder listing, `lungseg predict`, the API, the MONAI Deploy application and the label app all follow this rule.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, MediaStorageDirectoryStorage


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STORAGE = "1.2.840.10008.5.1.4.1.1."
# DICOM PS3.4, B.5: waveforms, presentation states, from raw data to segmentations, value mappings, surfaces, structured
# reports and key object selections, encapsulated documents.
_NON_IMAGES = ("9.", "11.", "66", "67", "68.", "88.", "104.")
# Classes that may hold a radiograph: CR, DX, secondary captures, and films on a fluoroscopy table.
_RADIOGRAPHS = re.compile(r"(1|1\.1|1\.1\.1|7|7\.[1-4]|12\.2)")
# Modalities of the images of other classes, by the first numbers of the class.
_CLASSES = (
    (r"1\.2\b|13\.1\.[345]", "MG"),
    (r"1\.3\b", "IO"),
    (r"2\b", "CT"),
    (r"4\b", "MR"),
    (r"(3|6)\b", "US"),
    (r"(5|20)\b", "NM"),
    (r"12\.[13]\b|13\.1\.[12]\b", "XA"),
    (r"(128|130)\b", "PT"),
    (r"77\.1\.[14]\b", "XC"),
)
# DICOM PS3.3, C.7.3.1.1.1, and words that some programs write instead. Missing on purpose: OT, which converters write
# for any picture; RF, because tables for fluoroscopy also take films; XC, which photographs of films have; and PA
# (photoacoustic), which people mean as a view.
OTHER_MODALITIES = _set_of(
    "AR ASMT AU BDUS BI BMD CFM CT CTPROTOCOL DMS DOC ECG EEG EMG EOG EPS ES FA FS GM HD IO IVOCT IVUS KER KO LEN LS "
    "M3D MA MG MR MRI MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS PET PLAN PR PT PX REG RESP RTDOSE RTIMAGE "
    "RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF TEXTUREMAP TG US VA VF XA"
)
# If a text names a part of the chest, the picture is meant to show it, alone or with other parts.
_CHEST = re.compile(
    r"CHEST|THORA(?!CIC SPINE)|TORAX|TORAC|\bLUNG|PULM|\bRIBS?\b|\bCOSTA|HEART|CARDIA|\bPECHO\b|POUMON|\bTHX\b|\bCXR\b"
)
# DICOM PS3.16, annex L and the older defined terms; and the same in German, French and Spanish.
_PARTS = re.compile(
    r"""\b(
    ABDOM\w*|BAUCH|VENTRE|KUB|PELVI[SC]|BECKEN|BASSIN|HIPS?|HUEFTE|HUFTE|HANCHE|CADERA|SACR(UM|OILIAC)|SACRO|COCCYX
    |SKULL|SCHAEDEL|SCHADEL|CRANE|CRANEO|CRANIUM|HEAD|KOPF|TETE|CABEZA|BRAIN|FACE|FACIAL|NOSE|NASAL|SINUS(ES)?|ORBITS?|EYES?
    |EARS?|JAW|MANDIBLE|MAXILLA|ZYGOMA\w*|TEETH|TOOTH|DENTAL|TMJ|NECK|HALS|COU|CUELLO|([CLSTW][\s-]?)?SPINE|CERVICAL|LUMBAR
    |LUMBOSACRAL|LENDENWIRBELS\w*|HALSWIRBELS\w*|HWS|LWS|SHOULDERS?|SCHULTER|EPAULE|HOMBRO|CLAVICLE|SCAPULA|ARMS?|UPPERARM|HUMERUS|OBERARM
    |ELBOWS?|ELLENBOGEN|ELLBOGEN|COUDE|CODO|FOREARMS?|UNTERARM|RADIUS|ULNA|WRISTS?|HANDGELENK|POIGNET|MUNECA|HANDS?|MANO|FINGERS?
    |DAUMEN|THUMBS?|LEGS?|UPPERLEG|LOWERLEG|THIGH|FEMUR|OBERSCHENKEL|KNEES?|KNIE|GENOU|RODILLA|PATELLA|TIBIA|FIBULA|UNTERSCHENKEL
    |ANKLES?|SPRUNGGELENK|CHEVILLE|TOBILLO|FOOT|FEET|FUSS|PIED|CALCANEUS|HEEL|TOES?|ZEHE|EXTREMIT(Y|IES)|BREASTS?|MAMMA
    |KIDNEYS?|BLADDER|COLON|LIVER|UTERUS|PROSTATE|STOMACH|BOWEL
    )\b""",
    re.VERBOSE,
)
# Codes of regions whose meaning may be in any language: SNOMED CT, and the older SNOMED RT.
_CHEST_CODES = _set_of("51185008 T-D3000 43799004 39607008 T-28000 113197003 T-11300")
_PART_CODES = {
    **dict.fromkeys(("818981001", "818983003", "113345001", "T-D4000"), "ABDOMEN"),
    **dict.fromkeys(("72696002", "T-D9200"), "KNEE"),
    **dict.fromkeys(("85562004", "T-D8700"), "HAND"),
    **dict.fromkeys(("89546000", "T-11100"), "SKULL"),
    **dict.fromkeys(("69536005", "T-D1100"), "HEAD"),
    **dict.fromkeys(("56459004", "T-D9700"), "FOOT"),
    **dict.fromkeys(("70258002", "T-15750"), "ANKLE"),
    **dict.fromkeys(("12921003", "816092008", "T-D6000"), "PELVIS"),
    **dict.fromkeys(("29836001", "24136001", "T-15710"), "HIP"),
    **dict.fromkeys(("16982005", "T-D2220"), "SHOULDER"),
    **dict.fromkeys(("76248009", "16953009", "T-15430"), "ELBOW"),
    **dict.fromkeys(("8205005", "74670003", "T-15460"), "WRIST"),
    **dict.fromkeys(("122494005", "T-11501"), "CSPINE"),
    **dict.fromkeys(("122496007", "T-11503"), "LSPINE"),
    **dict.fromkeys(("76752008", "T-04000"), "BREAST"),
}
# What people write about one series; a study may also have pictures of other parts.
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName")
# The last element that the rule reads.
LAST_TAG = 0x00181030


def stated_object(dataset: Dataset) -> str:
    """Return the modality, kind of object or body part that a header states if that is not a chest radiograph, or "".

    A header that states nothing, or words that are not known, may belong to a chest radiograph.

    Args:
        dataset: the elements of the header; with its `file_meta` if it has one.

    Raises:
        Exception: pydicom may raise any exception on damaged data.
    """
    modality = next(iter(_texts(dataset.get("Modality"))), "")
    if modality in OTHER_MODALITIES:
        return modality
    return _by_class(sop_class_of(dataset)) or _by_body_part(dataset)


def sop_class_of(dataset: Dataset) -> str:
    """Return the SOP class that a header states, or its file meta information, or an empty string."""
    meta = getattr(dataset, "file_meta", None) or Dataset()
    return str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "").strip()


def _by_class(sop_class: str) -> str:
    """Return the modality of another class of images, or the name of the class."""
    # A DICOMDIR, which lists the files of a disc, may have any name.
    if sop_class == MediaStorageDirectoryStorage:
        return "that it is not a picture"
    group = sop_class.removeprefix(_STORAGE)
    # Private classes do not say anything.
    if group == sop_class or _RADIOGRAPHS.fullmatch(group):
        return ""
    found = next((modality for pattern, modality in _CLASSES if re.match(pattern, group)), "")
    if found:
        return found
    name = UID(sop_class).name
    if name == sop_class:
        # pydicom does not know it.
        return "that it is not a picture" if group.startswith(_NON_IMAGES) else ""
    return name.removesuffix(" Storage")


def _by_body_part(dataset: Dataset) -> str:
    """Return another body part, if the file does not name the chest as well."""
    regions = dataset.get("AnatomicRegionSequence")
    items = list(regions) if isinstance(regions, Sequence) else []
    codes = [str(item.get("CodeValue", "")).strip() for item in items]
    texts = [
        *_texts(dataset.get("BodyPartExamined")),
        *(one for item in items for one in _texts(item.get("CodeMeaning"))),
    ]
    described = [text for name in _DESCRIPTIONS for text in _texts(dataset.get(name))]
    if _CHEST_CODES.intersection(codes) or any(_CHEST.search(text) for text in (*texts, *described)):
        return ""
    named = (match[0] for text in texts for match in [_PARTS.search(text)] if match)
    return next(named, "") or next((_PART_CODES[code] for code in codes if code in _PART_CODES), "")


def _texts(value: Any) -> Iterator[str]:
    """Yield the values of an element in capitals, without accents; `_` and digits separate words."""
    for one in value if isinstance(value, MultiValue) else [value]:
        plain = unicodedata.normalize("NFKD", str(one or "")).encode("ascii", "ignore").decode()
        if words := re.sub(r"[\d_]+", " ", plain).strip().upper():
            yield words
